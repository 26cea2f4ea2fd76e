"""Bringing examples of other products and tables into a dataset's draft.

``reading`` cuts a file into records and says what it is; ``columns`` lists what is in them and guesses what it means;
``building`` makes an example of a record; ``running`` checks all of it against the draft and stores it, all or none.
"""
