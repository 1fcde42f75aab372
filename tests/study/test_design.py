"""Studies' files, and the orders in which people are asked."""

from collections import Counter
from itertools import permutations

import pytest

from gluon_enhance.study.design import Study, StudyError, balanced_square, read_study, study_text

METHODS = ("bicubic", "edsr", "esrgan", "original")
PICTURES = tuple(f"picture {n}" for n in range(6))


def study(**changes):
    values = {"title": "A test", "methods": METHODS, "pictures": PICTURES, "reference": "original"}
    return Study(**{**values, **changes})


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 9, 10])
def test_a_square_is_balanced_for_places_and_for_what_comes_before(count):
    rows = balanced_square(count)
    assert len(rows) == count * (1 + count % 2)
    for column in zip(*rows):
        assert Counter(column) == dict.fromkeys(range(count), len(rows) // count)
    before = Counter(pair for row in rows for pair in zip(row, row[1:]))
    expected = dict.fromkeys(permutations(range(count), 2), len(rows) // count)
    assert before == expected


@pytest.mark.parametrize("count", [4, 5])
def test_each_picture_shows_its_methods_in_balanced_orders(count):
    made = study(methods=METHODS[:3] + tuple("ab")[: count - 3], reference=None)
    people = count * (1 + count % 2)
    places, before = Counter(), Counter()
    for place in range(people):
        order = [i.shown[0] for i in made.sequence(place) if i.picture == PICTURES[2]]
        places.update(enumerate(order))
        before.update(zip(order, order[1:]))
    assert set(places.values()) == {people // count} and len(places) == count**2
    assert set(before.values()) == {people // count} and len(before) == count * (count - 1)


@pytest.mark.parametrize("pictures", range(2, 9))
@pytest.mark.parametrize("kind", ["acr", "dcr", "pairs"])
def test_a_person_rates_all_and_never_one_picture_twice_in_succession(kind, pictures):
    made = study(kind=kind, pictures=PICTURES[:1] + tuple("abcdefg")[: pictures - 1])
    for place in range(20):
        items = made.sequence(place)
        assert all(a.picture != b.picture for a, b in zip(items, items[1:]))
        asked = Counter((item.picture, tuple(sorted(item.shown))) for item in items)
        assert len(asked) == pictures * made.block and set(asked.values()) == {1}


def test_few_ratings_a_person_are_spread_evenly_over_pictures_and_their_methods():
    made = study(ratings=9)  # two pictures of four methods
    items = [item for place in range(12) for item in made.sequence(place)]
    assert len(made.sequence(5)) == 8
    asked = Counter((item.picture, item.shown) for item in items)
    assert len(asked) == 24 and set(asked.values()) == {4}
    firsts = Counter(
        [i.shown[0] for i in made.sequence(place) if i.picture == PICTURES[0]][0]
        for place in range(12)
        if any(i.picture == PICTURES[0] for i in made.sequence(place))
    )
    assert firsts == dict.fromkeys(METHODS, 1)


def test_sides_of_a_pair_are_exchanged_from_person_to_person():
    made = study(kind="pairs")
    sides = Counter(
        (item.picture, item.shown) for place in range(12) for item in made.sequence(place)
    )
    assert len(sides) == 6 * 12 and set(sides.values()) == {6}


def test_training_comes_first_and_tells_the_anchors():
    made = study(training=("easy",), anchors=(("bicubic", 1), ("original", 5)))
    items = made.sequence(0)
    assert [item.stage for item in items[:5]] == ["training"] * 4 + ["test"]
    assert {item.shown[0]: item.suggested for item in items[:4]} == {
        **{"bicubic": 1, "original": 5},
        **dict.fromkeys(METHODS[1:3]),
    }
    assert all(item.suggested is None for item in items[4:])


@pytest.mark.parametrize("kind", ["acr", "pairs"])
def test_repeats_ask_once_more_later_and_apart(kind):
    made = study(kind=kind, repeats=4)
    for place in range(10):
        items = made.sequence(place)
        assert all(a.picture != b.picture for a, b in zip(items, items[1:]))
        again = [n for n, item in enumerate(items) if item.stage == "repeat"]
        assert len(again) == 4
        for n in again:
            shown = items[n].shown[::-1] if kind == "pairs" else items[n].shown
            earlier = [(item.picture, item.shown) for item in items[: len(items) // 2]]
            assert (items[n].picture, shown) in earlier


def test_the_order_of_a_place_does_not_change_and_differs_between_seeds():
    assert study(seed=3).sequence(7) == study(seed=3).sequence(7) != study(seed=4).sequence(7)


def test_double_stimulus_shows_the_reference_first_and_hides_it_among_the_others():
    shown = {item.shown for item in study(kind="dcr").sequence(0)}
    assert shown == {("original", method) for method in METHODS}


def test_a_file_is_read_as_it_was_written(tmp_path):
    made = study(
        title='Größe "1" \\ 😀\x7f',
        anchors=(("original", 5),),
        training=("x",),
        ratings=12,
        question="Wie gut?\nSagen Sie es.",
    )
    (tmp_path / "study.toml").write_text(study_text(made), encoding="utf-8")
    assert read_study(tmp_path) == made
    assert read_study(tmp_path).fingerprint() == made.fingerprint()


def test_a_file_is_read_as_editors_of_windows_write_it(tmp_path):
    text = study_text(study()).replace("\n", "\r\n")
    (tmp_path / "study.toml").write_bytes(text.encode("utf-8-sig"))
    assert read_study(tmp_path) == study()


def test_words_of_the_consent_do_not_make_another_study():
    assert study(consent="Do come.").fingerprint() == study().fingerprint()
    assert study(question="How sharp?").fingerprint() != study().fingerprint()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "title: it is missing"),
        ('kind = "vote"', "kind is vote: give one of acr, dcr, pairs"),
        ("seed = true", "seed is True: give a whole number"),
        ("colour = 1", "colour is 1: there is no such key"),
        ('reference = "none"', "reference is none: it is no method"),
        ('kind = "dcr"', "reference: kind 'dcr' shows it"),
        ('training = ["x"]\nanchors = {a = 6}', "give a rating from 1 to 5"),
        ('training = ["x"]\nanchors = {c = 1}', "anchors is c: it is no method"),
        ("anchors = {a = 1}", "anchors is {'a': 1}: only the training says them"),
        ('question = " "', "question: it is empty"),
        ("ratings = 1", "ratings is 1: one picture takes 2"),
        ("repeats = 2", "repeats is 2: give a number to 1"),
        ('training = ["P"]', "these are among the pictures too"),
        ('scale = ["only"]', "give a word for each rating"),
        ('scale = ["good", "good "]', "give each rating a word of its own"),
        ('scale = ["", "good"]', "give each rating a word of its own"),
        pytest.param("ratings = -" + "9" * 5000, "", id="digits"),
        pytest.param("seed = " + "[" * 5000, "", id="nested"),
        ("scale = [1, 2]", "give a list of texts"),
        ("=", "Invalid"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, lines, message):
    basis = 'title = "t"\nmethods = ["a", "b"]\npictures = ["p"]\n' if lines else ""
    (tmp_path / "study.toml").write_text(basis + lines, encoding="utf-8")
    with pytest.raises(StudyError) as error:
        read_study(tmp_path)
    assert message in str(error.value) and "study.toml" in str(error.value)


def test_a_title_that_no_file_can_hold_is_named():
    with pytest.raises(StudyError, match="title is .*: write it in UTF-8"):
        Study(title="caf\udce9", methods=("a", "b"), pictures=("p",))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "trailing.", "ü"])
def test_names_that_are_no_names_of_files_are_refused(name):
    with pytest.raises(StudyError, match="names have up to 100 letters, digits"):
        study(methods=("original", name))


def test_a_folder_without_a_study_says_how_one_is_made(tmp_path):
    with pytest.raises(StudyError, match="`gluon-enhance study new` makes one"):
        read_study(tmp_path)
