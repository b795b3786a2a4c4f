# Makes pyarrow.parquet with pyarrow and Pillow: python3 pyarrow-parquet.py
import io

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(form, colour):
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, form)
    return {"bytes": out.getvalue(), "path": None}


turn = pa.struct([("content", pa.string()), ("num_tokens", pa.int64()), ("role", pa.string())])
schema = pa.schema([
    ("question_id", pa.string()),
    ("conversation", pa.list_(pa.list_(turn))),
    ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
])
forms = ["JPEG", "PNG", "GIF", "WEBP"]
rows = [
    {
        "question_id": f"q{i}",
        "conversation": [
            [{"content": f"Question {i}: what is to be seen?", "num_tokens": 7, "role": "user"}],
            [{"content": f"Answer {i}.", "num_tokens": 3, "role": "assistant"}],
        ] + [[{"content": "More?", "num_tokens": 2, "role": "user"}]] * (i % 3),
        "images": [picture(forms[i % 4], (i, 0, 0)), picture("PNG", (0, i, 0))][: 1 + i % 2],
    }
    for i in range(60)
]
# Small pages and row groups, so that rows lie in several of each.
pq.write_table(pa.Table.from_pylist(rows, schema), "pyarrow.parquet", row_group_size=25, data_page_size=256, compression="snappy")
