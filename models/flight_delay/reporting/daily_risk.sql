-- Risk by day, carrier and origin, beside what happened.
--
-- The views hold one partition: `scores` what was published, `outcomes` the source table as it is now.
-- A flight is labelled once it has arrived; until then observed_late_rate and calibration are null.
-- calibration = observed - predicted, both over the labelled flights: above 0 the model was too hopeful.
SELECT
  s.flight_date,
  s.carrier,
  s.origin,
  count(*) AS flights,
  avg(s.probability_late) AS mean_predicted_risk,
  avg(CAST(o.arr_delay >= 15 AS INTEGER)) AS observed_late_rate,
  count(o.arr_delay) AS labelled_flights,
  avg(CAST(o.arr_delay >= 15 AS INTEGER)) - avg(s.probability_late) FILTER (WHERE o.arr_delay IS NOT NULL) AS calibration,
  max(s.model_version) AS model_version
FROM scores s
LEFT JOIN outcomes o USING (flight_date, carrier, flight, origin, dest, sched_dep_time)
GROUP BY s.flight_date, s.carrier, s.origin
