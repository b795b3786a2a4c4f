"""Writes what Python itself makes of numbers and texts: python3 make.py, in this folder."""
import json, random, struct

random.seed(5)
floats = [0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 10.0, 100.0, 1e-4, 9.999999e-5, 1e-5, 1.5e-7, 123456789.125, 1e15, 9999999999999998.0, 1e16,
          1.2345e16, 1e17, 1e21, 1e22, 1e23, 1e100, -1e-5, 5e-324, 1.7976931348623157e308, 2.5, 0.125, 0.375, 1.005, 2.675, 99.995, 1e9 + 0.005,
          float("inf"), float("-inf"), float("nan")]
floats += [random.uniform(-1, 1) * 10.0 ** random.randint(-20, 20) for _ in range(300)]
with open("floats.txt", "w") as out:
    for v in floats:
        print(struct.pack(">d", v).hex(), json.dumps(v), "{:.2f}".format(v), file=out)

texts = ["", "plain", 'a "quote" and a \\', "\b\t\n\f\r", "\x00\x01\x1f\x7f", "<a href='x'>&amp;</a>", "caf\u00e9 \u4e2d\u6587", "\u2028\u2029\ufffd\uffff",
         "\U0001f600\U00010000\U0010ffff", "/slash/", "".join(map(chr, range(0x20, 0x250)))]
with open("texts.txt", "w") as out:
    for t in texts:
        print(t.encode().hex() or "-", json.dumps(t), file=out)

document = {"a": None, "b": [], "c": [[], [1.0, 2.5e-7]], "d": {"e": 1, "f": "g"}, "h": [1, -2], "i": ["x"], "j": float("inf")}
with open("document.txt", "w") as out:
    json.dump(document, out)
