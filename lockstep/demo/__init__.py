"""The demo: real data, a real model, seven days through a real Airflow, and what came of it."""
