"""Tests that empty rows which a spreadsheet appends to a failures.csv are skipped."""

from imagen_batch.prompts import open_prompts
from imagen_batch.records import PromptRow


def test_rows_of_empty_cells_are_skipped(tmp_path):
    """They get no row number and are not reported as problems."""
    path = tmp_path / "failures.csv"
    lines = ["prompt;status;imagen_batch_row", "a fox;failed;aa", ";;", "  ; ;", "a hen;failed;bb", ";;", ";;"]
    path.write_text("\n".join(lines), encoding="utf-8")
    rows = list(open_prompts(path).rows())
    assert [(row.row, row.line, row.prompt) for row in rows if isinstance(row, PromptRow)] == [
        (1, 2, "a fox"),
        (2, 5, "a hen"),
    ]
    assert len(rows) == 2


def test_a_row_with_any_content_still_needs_a_prompt(tmp_path):
    """Only rows that are completely empty are skipped."""
    path = tmp_path / "book.csv"
    path.write_text("id,prompt\na,a fox\nb,\n", encoding="utf-8")
    problems = [row for row in open_prompts(path).rows() if not isinstance(row, PromptRow)]
    assert [problem.line for problem in problems] == [3]
