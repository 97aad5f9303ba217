"""What a recommender does to the ratings it learns from: who decides, loops, and two districts."""
