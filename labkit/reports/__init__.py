"""Pages and figures about a model.

    page         a self-contained HTML page: sections, tables, figures
    evaluation   the page of one or more evaluations, with all analyses
    run          metrics.json and the figures of a finished training

`page` and `evaluation` work with any model's Evaluation, not only Mask R-CNN's.
"""
