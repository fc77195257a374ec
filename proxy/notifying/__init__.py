"""Events on their way to applications: kept sealed, sent again and again until they are taken."""
