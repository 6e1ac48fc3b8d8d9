"""The Scorer: record batch in, record batch out. Knows neither Spark, Airflow, MLflow nor HTTP."""
