-- The label of `flight_delay`, for the training set (Spark) and for the performance table (DuckDB); scoring never runs it.
-- `outcomes` is the flights table: the training days with all its columns, or one day with those of `labels.source`.
-- A flight that was cancelled or never arrived has no arrival delay and so no label: it is left out here (it is
-- scored all the same, because before departure nobody can know).
SELECT
  flight_date, carrier, flight, origin, dest, sched_dep_time,
  CAST(arr_delay >= 15 AS INT) AS label
FROM outcomes
WHERE arr_delay IS NOT NULL
