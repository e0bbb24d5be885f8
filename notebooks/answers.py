"""Writes the answers that `sr_keras.course.check` knows, encoded, into the package.

    python notebooks/answers.py

They are read from the table in `teaching/answers/exercises.md`, which is the place to
change or add one. An answer there is written as in JSON: a number, or a list of them.
"""

import base64
import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent
TABLE = FOLDER / "teaching" / "answers" / "exercises.md"
FILE = FOLDER.parent / "sr_keras" / "course_answers.json"

_ROW = re.compile(r"\| (\d\d\.\d[a-z]?) \| [^|]+ \| ([^|]+) \| ([^|]+) \|")


def read(text):
    """Reads the table.

    Args:
        text: Markdown with a table of names, questions, answers and tolerances.

    Returns:
        A dict from names of exercises, such as "08.1", to (answer, tolerance).

    Raises:
        ValueError: If a row has another form, or a name occurs twice.
    """
    rows = re.findall(r"(?m)^\|.*$", text)[2:]  # without the heading
    found = {}
    for row in rows:
        match = _ROW.fullmatch(row)
        if not match or match[1] in found:
            raise ValueError(
                "A row must be `| NN.N | question | answer | tolerance |`, with a name"
                f" that no other row has. Received: {row}"
            )
        found[match[1]] = json.loads(match[2]), json.loads(match[3])
    return found


def encode(answers):
    """Returns the text of the file in the package.

    Args:
        answers: A dict, as `read` returns it.
    """
    encoded = {
        name: base64.b64encode(json.dumps(pair).encode()).decode()
        for name, pair in answers.items()
    }
    return json.dumps(encoded, indent=1) + "\n"


def main():
    answers = read(TABLE.read_text())
    FILE.write_text(encode(answers))
    print(f"{len(answers)} answers are in {FILE}")


if __name__ == "__main__":
    main()
