"""The local services of `lockstep up` and `lockstep demo`: PostgreSQL, MLflow, Airflow and the endpoint as one."""
