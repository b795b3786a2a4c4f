# Makes python-random.json with any Python 3: python3 python-random.py > python-random.json
import json
import random

cases = []
for seed in [0, 1, 7, 42, 2**32 - 1, 2**32, 2**63 + 12345, 2**64 - 1]:
    case = {"seed": seed}
    for n in [1, 2, 10, 1000]:
        random.seed(seed)
        order = list(range(n))
        random.shuffle(order)
        case[f"shuffle{n}"] = order
    random.seed(seed)
    case["choice"] = [random.choice(range(n)) for n in [1, 3, 10, 1000, 94000, 2**31] for _ in range(5)]
    random.seed(seed)
    case["bits"] = [random.getrandbits(32) for _ in range(5)]
    cases.append(case)
print(json.dumps(cases))
