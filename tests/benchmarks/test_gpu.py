"""The benchmark for accelerators, on the CPU with a small network."""

import json

import gpu


def test_all_measurements_of_a_small_network(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu.torch.nn.Module, "compile", lambda self: None)  # compiling takes a minute on a CPU
    report = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--models", "small", "--frames", "6", "--json", str(report)]
    gpu.main(arguments)
    rows = {(row["measure"], row["dtype"]): row["value"] for row in json.loads(report.read_text())["rows"]}
    assert rows["mask IoU with fp32 on the CPU", "fp32"] == 1.0
    for prompts in gpu.PROMPTS:
        assert rows[f"frames a second, {prompts}", "bf16"] > 0
        assert rows[f"frames a second, {prompts}, compiled", "bf16"] > 0
    assert rows["training steps a second, 5 frames", "bf16"] > 0


def test_the_limit_leaves_measurements_out(capsys):
    assert gpu.main(["--device", "cpu", "--models", "small", "--limit", "0"]) == 0
    assert "left out for lack of time: small: parity, small: audio, " in capsys.readouterr().out
