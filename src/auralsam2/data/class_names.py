"""Names of the classes of the data sets with semantic labels. This module imports nothing."""

AVSS = (
    "background", "accordion", "airplane", "axe", "baby", "bassoon", "bell", "bird", "boat", "boy", "bus", "car",
    "cat", "cello", "clarinet", "clipper", "clock", "dog", "donkey", "drum", "duck", "elephant", "emergency-car",
    "erhu", "flute", "frying-food", "girl", "goose", "guitar", "gun", "guzheng", "hair-dryer", "handpan", "harmonica",
    "harp", "helicopter", "hen", "horse", "keyboard", "leopard", "lion", "man", "marimba", "missile-rocket",
    "motorcycle", "mower", "parrot", "piano", "pig", "pipa", "saw", "saxophone", "sheep", "sitar", "sorna", "squirrel",
    "tabla", "tank", "tiger", "tractor", "train", "trombone", "truck", "trumpet", "tuba", "ukulele", "utv",
    "vacuum-cleaner", "violin", "wolf", "woman",
)  # fmt: skip
"""Names of the 71 classes of AVSBench-semantic, by number."""

VPO = (
    "background", "airplane", "baby", "bird", "bus", "car", "cat", "cell phone", "cow", "dog", "elephant", "female",
    "horse", "keyboard", "male", "motorcycle", "mouse", "sheep", "skateboard", "sports ball", "tennis racket", "zebra",
)  # fmt: skip
"""Names of the 22 classes of VPO, by number."""

STAMPAVS = (
    "background", "badger", "bassoon", "bear", "bee", "bison", "blackbird", "bull", "camel", "camera", "caribou",
    "cello", "chimpanzee", "cow", "crow", "cuckoo", "cymbal", "deer", "dog", "dolphin", "donkey", "drum kit",
    "duck", "elephant", "ferret", "fire truck", "floor tom", "fox", "frog", "goat", "goose", "gorilla",
    "grasshopper", "hammer", "hen", "heron", "hippopotamus", "hornet", "horse", "kettle", "koala", "lark", "lion",
    "moth", "mouse", "orca", "owl", "penguin", "pig", "quetzal", "rabbit", "rooster", "rubber duck", "saw",
    "sea lion", "seagull", "sheep", "squirrel", "submarine", "tiger", "toilet", "toucan", "turkey", "violin",
    "vulture", "whale", "zebra",
)  # fmt: skip
"""Names of the 67 classes of StampAVS, by number: background, and the categories with a recording."""

CLASS_NAMES = {"v2-semantic": AVSS, "stampavs-semantic": STAMPAVS}
"""Names of the classes of each data set whose classes are scored."""
