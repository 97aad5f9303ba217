"""The sample of reviews: its labels follow from its sentences."""

from __future__ import annotations

from drivetrain.samples import reviews


def test_a_review_is_good_where_more_sentences_praise_than_blame() -> None:
    found = list(reviews.reviews())
    assert len(found) == reviews.NUM_REVIEWS and len({text for text, _ in found}) > 990
    counted_right = 0
    for text, label in found:
        sentences = text.replace("!", ".").split(".")[:-1]
        words = [set(sentence.split()) for sentence in sentences]
        turned = [bool(one & {"never", "anything"}) for one in words]
        praised = [bool(one & set(reviews.GOOD)) for one in words]
        assert all(
            bool(one & set(reviews.BAD)) != good for one, good in zip(words, praised, strict=True)
        )
        balance = sum(1 if good != turn else -1 for good, turn in zip(praised, turned, strict=True))
        assert balance != 0 and label == ("good" if balance > 0 else "bad") and "," not in text
        counted_right += (sum(praised) > len(praised) / 2) == (label == "good")
    assert 0.5 < counted_right / len(found) < 0.85  # whoever only counts words
