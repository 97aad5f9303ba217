"""Text: from a folder, a table or strings to language models, classifiers and scorers.

    learner = dt.text.learner("reviews.csv", "label")       # texts told apart
    learner = dt.text.language_learner("books/")            # the next word, from text without labels

Names are loaded on first use.
"""
