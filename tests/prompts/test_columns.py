"""Tests that each column gets the role of its name, and that no secret is ever copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagen_batch.prompts.column_names import ALIASES, fold, looks_secret
from tests.support.prompt_files import open_content, problems, prompts, refusal, rows


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("aspectRatio", "aspect_ratio"),
        ("Aspect Ratio", "aspect_ratio"),
        (" ASPECT-RATIO ", "aspect_ratio"),
        ("PROMPT", "prompt"),
        ("HTTPStatus", "http_status"),
        ("number  of - images", "number_of_images"),
    ],
)
def test_all_spellings_of_a_name_are_equal(name: str, folded: str) -> None:
    """Case, camel case, spaces and hyphens do not matter."""
    assert fold(name) == folded


@pytest.mark.parametrize("alias", ALIASES["prompt"])
def test_the_prompt_column_may_have_other_names(tmp_path: Path, alias: str) -> None:
    """The column keeps its name."""
    file = open_content(tmp_path, f"id,{alias.title()}\n1,a\n")
    assert (prompts(file), file.columns, file.user_columns) == (["a"], ("id", alias.title()), ())


@pytest.mark.parametrize(
    ("header", "value"), [(alias, "2") for alias in ALIASES["samples"]] + [("Sample Count", "2.0")]
)
def test_the_samples_column_may_have_other_names(tmp_path: Path, header: str, value: str) -> None:
    """All of these names mean the number of images of a row."""
    assert rows(open_content(tmp_path, f"prompt,{header}\na,{value}\n"))[0].samples == 2


def test_a_file_without_prompts_lists_its_columns(tmp_path: Path) -> None:
    """The user can choose one with --prompt-column."""
    (problem,) = refusal(tmp_path, "title,scene\n1,a\n")
    assert problem.line == 1
    assert "'title', 'scene'" in problem.message
    assert "--prompt-column" in problem.message


@pytest.mark.parametrize("chosen", ["Scene Text", "scene_text", "sceneText"])
def test_the_prompt_column_can_be_chosen(tmp_path: Path, chosen: str) -> None:
    """Its exact or its folded name chooses it; a column called prompt is then the user's own."""
    file = open_content(tmp_path, "prompt,Scene Text\nno,yes\n", prompt_column=chosen)
    assert (prompts(file), file.user_columns) == (["yes"], ("prompt",))


def test_a_chosen_column_must_exist(tmp_path: Path) -> None:
    """No other column replaces it."""
    (problem,) = refusal(tmp_path, "prompt,note\na,b\n", prompt_column="scene")
    assert "no column 'scene'" in problem.message


def test_two_columns_that_may_be_the_prompt_need_a_choice(tmp_path: Path) -> None:
    """A story's text is not what its image shows, and images cost money."""
    (problem,) = refusal(tmp_path, "text,image_prompt\nOnce,a fox\n")
    assert "'text', 'image_prompt'" in problem.message


def test_the_canonical_name_wins(tmp_path: Path) -> None:
    """The other stays the user's own."""
    file = open_content(tmp_path, "text,prompt,n,samples\nx,a,9,2\n")
    (row,) = rows(file)
    assert (row.prompt, row.samples, row.user) == ("a", 2, {"text": "x", "n": "9"})


def test_a_choice_between_two_known_names_is_reported(tmp_path: Path) -> None:
    """The first known name is used."""
    file = open_content(tmp_path, "prompt,count,n\na,9,2\n")
    assert rows(file)[0].samples == 2
    assert file.warnings == ("'n' is read as samples; kept as your own: 'count'",)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("prompt,note,note", "2 columns have this name"),
        ("prompt,note, note ", "2 columns have this name"),
        ("prompt,Prompt", "'prompt', 'Prompt' mean the same"),
        ("prompt,seed,Seed", "'seed', 'Seed' mean the same"),
    ],
)
def test_duplicate_columns_are_refused(tmp_path: Path, header: str, message: str) -> None:
    """One of them would be lost."""
    (problem,) = refusal(tmp_path, f"{header}\na,1,2\n")
    assert message in problem.message


def test_a_column_without_a_name_is_kept_only_with_content(tmp_path: Path) -> None:
    """Spreadsheets leave empty ones behind."""
    file = open_content(tmp_path, "prompt,,id,,\na,,1,,\nb,,2,x\nc,,3\n")
    assert (file.columns, file.user_columns) == (("prompt", "id", "column_4"), ("column_4",))
    assert "'column_4'" in file.warnings[0]
    assert [problem.line for problem in problems(file)] == [4]
    file = open_content(tmp_path, "prompt,,\na,,\nb\n")
    assert (file.columns, prompts(file)) == (("prompt",), ["a", "b"])


@pytest.mark.parametrize(
    ("values", "size"), [(["1k", "2K"], "1K"), (["0.5K"], "512"), (["512", ""], "512"), (["4K"], "4K")]
)
def test_a_size_column_with_sizes_of_the_services_is_the_image_size(
    tmp_path: Path, values: list[str], size: str
) -> None:
    """Upper and lower case mean the same."""
    text = "prompt,resolution\n" + "".join(f"a,{value}\n" for value in values)
    file = open_content(tmp_path, text)
    assert (rows(file)[0].options.image_size, file.user_columns) == (size, ())


def test_a_size_column_in_pixels_is_the_users_own(tmp_path: Path) -> None:
    """A warning says that it is not used."""
    file = open_content(tmp_path, "prompt,size\na,512\nb,1024x1024\n")
    assert [row.options.image_size for row in rows(file)] == [None, None]
    assert file.user_columns == ("size",)
    assert "'1024x1024'" in file.warnings[0]


def test_a_typo_among_sizes_of_the_services_is_reported(tmp_path: Path) -> None:
    """Ignoring the whole column because of it would make all images too small."""
    (problem,) = problems(open_content(tmp_path, "prompt,size\na,2K\nb,2KK\n"))
    assert (problem.line, problem.column, problem.found) == (3, "size", "2KK")


def test_image_size_is_strict(tmp_path: Path) -> None:
    """The name is unambiguous; a column `size` beside it is the user's own."""
    file = open_content(tmp_path, "prompt,image_size,size\na,1024x1024,2K\n")
    assert [problem.column for problem in problems(file)] == ["image_size"]
    assert file.user_columns == ("size",)


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "APIkey", "API-KEY", "OPENAI_API_KEY", "apikey", "access_key", "Private Key"),
        *("token", "HF Token", "accessToken", "password", "db_password", "secret", "aws_secret_access_key"),
    ],
)
def test_a_secret_is_never_copied(tmp_path: Path, name: str) -> None:
    """Neither cells nor the user's columns contain it, and the warning shows no value."""
    file = open_content(tmp_path, f"prompt,{name},note\na,hush-123,x\n")
    (row,) = rows(file)
    assert (file.columns, row.cells, row.user) == (
        ("prompt", "note"),
        {"prompt": "a", "note": "x"},
        {"note": "x"},
    )
    assert name in file.warnings[0]
    assert "hush" not in repr((row, file.warnings, file.columns))


@pytest.mark.parametrize(
    "name", ["tokens_used", "token_count", "tokenizer", "secretary", "key", "keyword", "passwordless", "keys"]
)
def test_a_similar_name_is_not_a_secret(name: str) -> None:
    """Only whole words count."""
    assert not looks_secret(name)


def test_a_secret_inside_a_json_value_is_left_out(tmp_path: Path) -> None:
    """The depth does not matter."""
    line = '{"prompt": "a", "api_key": "hush", "auth": {"user": "u", "password": "hush"}}'
    file = open_content(tmp_path, line, name="p.jsonl")
    assert rows(file)[0].cells == {"prompt": "a", "auth": '{"user": "u"}'}


def test_no_problem_shows_a_secret(tmp_path: Path) -> None:
    """Every kind of problem in its row leaves the secret out."""
    text = 'prompt,api_key\n,hush\na,hush,hush\na,hu\0sh\n"a,hush\n'
    reported = problems(open_content(tmp_path, text))
    assert len(reported) >= 3
    assert "hush" not in repr(reported)


def test_our_own_failures_are_valid_input(tmp_path: Path) -> None:
    """The columns that we added after the user's are removed."""
    text = "prompt,status,note,status,reason,http_status,attempts\na,mine,x,failed,why,500,5\n"
    file = open_content(tmp_path, text, name="failures.csv")
    assert rows(file)[0].cells == {"prompt": "a", "status": "mine", "note": "x"}
    assert (file.columns, file.user_columns) == (("prompt", "status", "note"), ("status", "note"))
