-- Features of `flight_delay`: one row for each scheduled flight of the days in `flights`.
--
-- What keeps the future out is what the views hold, as scoring.yaml declares:
--   flights   the scored day as scheduled; no column that is known only after departure
--   history   earlier flights with their outcomes, days D-29 to D-2
--   weather   observations of the day before and of the day; only the hour BEFORE the scheduled hour is joined
--   planes    the aircraft register
--
-- `history` is bounded again by each flight's own date, so that this text gives the same rows whether the views hold
-- one day (scoring) or many (the training set). Counts stay integers until the last division, so no result depends
-- on the order in which Spark adds, and a row is the same in every bit whenever and wherever it is made.
WITH scheduled AS (
  SELECT
    *,
    count(*) OVER (PARTITION BY flight_date, origin, hour) AS origin_hour_departures,
    count(*) OVER (PARTITION BY flight_date, origin, hour, carrier) AS carrier_hour_departures
  FROM flights
),
-- A flight belongs to several groups of comparable flights: all, those of its carrier, of its route and so on.
flight_group AS (
  SELECT flight_date, carrier, flight, origin, dest, sched_dep_time, kind, member
  FROM flights
  LATERAL VIEW explode(map(
    'overall', '',
    'origin', origin,
    'dest', dest,
    'carrier', carrier,
    'route', concat_ws(' ', origin, dest),
    'origin_hour', concat_ws(' ', origin, hour),
    'carrier_origin', concat_ws(' ', carrier, origin),
    'number', concat_ws(' ', carrier, flight, origin, dest),
    'tailnum', tailnum
  )) AS kind, member
),
past_day AS ( -- what happened in each group on each earlier day; a flight without arr_delay never arrived
  SELECT
    flight_date, kind, member,
    count(*) AS flights,
    count(dep_delay) AS departed,
    count(arr_delay) AS arrived,
    count_if(arr_delay >= 15) AS late,
    sum(CAST(dep_delay AS BIGINT)) AS dep_delay_min
  FROM history
  LATERAL VIEW explode(map(
    'overall', '',
    'origin', origin,
    'dest', dest,
    'carrier', carrier,
    'route', concat_ws(' ', origin, dest),
    'origin_hour', concat_ws(' ', origin, hour),
    'carrier_origin', concat_ws(' ', carrier, origin),
    'number', concat_ws(' ', carrier, flight, origin, dest),
    'tailnum', tailnum
  )) AS kind, member
  WHERE member IS NOT NULL
  GROUP BY flight_date, kind, member
),
past AS ( -- the same over the window of each scheduled day
  SELECT
    d.flight_date, p.kind, p.member,
    sum(p.arrived) AS arrived,
    sum(p.late) AS late,
    -- D-2 alone, the latest day whose flights have all landed
    sum(p.flights) FILTER (WHERE p.flight_date = date_sub(d.flight_date, 2)) AS latest_flights,
    sum(p.departed) FILTER (WHERE p.flight_date = date_sub(d.flight_date, 2)) AS latest_departed,
    sum(p.arrived) FILTER (WHERE p.flight_date = date_sub(d.flight_date, 2)) AS latest_arrived,
    sum(p.late) FILTER (WHERE p.flight_date = date_sub(d.flight_date, 2)) AS latest_late,
    sum(p.dep_delay_min) FILTER (WHERE p.flight_date = date_sub(d.flight_date, 2)) AS latest_dep_delay_min
  FROM (SELECT DISTINCT flight_date FROM flights) AS d
  JOIN past_day AS p ON p.flight_date BETWEEN date_sub(d.flight_date, 29) AND date_sub(d.flight_date, 2)
  GROUP BY d.flight_date, p.kind, p.member
),
looked_up AS ( -- back to one row for each flight; each group that has a past is a struct
  SELECT
    g.flight_date, g.carrier, g.flight, g.origin, g.dest, g.sched_dep_time,
    max(p.late / nullif(p.arrived, 0)) FILTER (WHERE g.kind = 'overall') AS late_rate,
    max(p.latest_dep_delay_min / nullif(p.latest_departed, 0)) FILTER (WHERE g.kind = 'origin') AS latest_dep_delay_min,
    max(p.latest_late / nullif(p.latest_arrived, 0)) FILTER (WHERE g.kind = 'origin') AS latest_late_rate,
    max((p.latest_flights - p.latest_arrived) / p.latest_flights) FILTER (WHERE g.kind = 'origin') AS latest_lost_rate,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'dest') AS to_dest,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'carrier') AS of_carrier,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'route') AS on_route,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'origin_hour') AS in_hour,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'carrier_origin') AS of_carrier_here,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'number') AS of_number,
    max(struct(p.arrived, p.late)) FILTER (WHERE g.kind = 'tailnum') AS of_aircraft
  FROM flight_group AS g
  LEFT JOIN past AS p ON p.flight_date = g.flight_date AND p.kind = g.kind AND p.member = g.member
  GROUP BY g.flight_date, g.carrier, g.flight, g.origin, g.dest, g.sched_dep_time
)
SELECT
  s.flight_date, s.carrier, s.flight, s.origin, s.dest, s.sched_dep_time, s.tailnum,
  -- schedule
  CAST(s.hour AS DOUBLE) AS dep_hour,
  CAST(s.minute AS DOUBLE) AS dep_minute,
  CAST(s.sched_arr_time DIV 100 AS DOUBLE) AS arr_hour,
  CAST(dayofweek(s.flight_date) AS DOUBLE) AS day_of_week,
  CAST(pmod((s.sched_arr_time DIV 100 - s.hour) * 60 + s.sched_arr_time % 100 - s.minute, 1440) AS DOUBLE)
    AS sched_block_min, -- local time there minus local time here
  s.distance AS distance_miles,
  CAST(s.origin_hour_departures AS DOUBLE) AS origin_hour_departures,
  CAST(s.carrier_hour_departures AS DOUBLE) AS carrier_hour_departures,
  -- aircraft
  CAST(p.seats AS DOUBLE) AS seats,
  CAST(p.engines AS DOUBLE) AS engines,
  year(s.flight_date) - p.year AS plane_age_years,
  -- weather of the hour before the scheduled hour
  w.temp AS temp_f,
  w.dewp AS dewp_f,
  w.humid AS humid_pct,
  w.wind_speed AS wind_mph,
  w.wind_gust AS gust_mph,
  w.precip AS precip_in,
  w.pressure AS pressure_mbar,
  w.visib AS visib_miles,
  -- D-29 to D-2. A rate leans on the overall one as if 50 (or 10) more flights had been seen: small groups say little.
  (coalesce(l.of_carrier.late, 0) + 50 * l.late_rate) / (coalesce(l.of_carrier.arrived, 0) + 50) AS carrier_late_rate,
  (coalesce(l.to_dest.late, 0) + 50 * l.late_rate) / (coalesce(l.to_dest.arrived, 0) + 50) AS dest_late_rate,
  (coalesce(l.on_route.late, 0) + 50 * l.late_rate) / (coalesce(l.on_route.arrived, 0) + 50) AS route_late_rate,
  (coalesce(l.in_hour.late, 0) + 50 * l.late_rate) / (coalesce(l.in_hour.arrived, 0) + 50) AS origin_hour_late_rate,
  (coalesce(l.of_carrier_here.late, 0) + 50 * l.late_rate) / (coalesce(l.of_carrier_here.arrived, 0) + 50)
    AS carrier_origin_late_rate,
  (coalesce(l.of_number.late, 0) + 10 * l.late_rate) / (coalesce(l.of_number.arrived, 0) + 10) AS flight_late_rate,
  (coalesce(l.of_aircraft.late, 0) + 10 * l.late_rate) / (coalesce(l.of_aircraft.arrived, 0) + 10) AS tailnum_late_rate,
  CAST(coalesce(l.on_route.arrived, 0) AS DOUBLE) AS route_flights,
  CAST(coalesce(l.of_aircraft.arrived, 0) AS DOUBLE) AS tailnum_flights,
  l.late_rate AS overall_late_rate,
  -- the origin on D-2
  l.latest_dep_delay_min,
  l.latest_late_rate,
  l.latest_lost_rate
FROM scheduled AS s
JOIN looked_up AS l USING (flight_date, carrier, flight, origin, dest, sched_dep_time)
LEFT JOIN planes AS p ON p.tailnum = s.tailnum
LEFT JOIN weather AS w ON w.origin = s.origin AND w.time_hour = s.time_hour - INTERVAL 1 HOUR
