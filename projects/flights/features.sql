-- One row per flight. Only what is known before departure: `flights` hides the columns that are known after, and the weather
-- is the latest reading at or before the scheduled hour.
SELECT
    f.time_hour,
    f.carrier,
    f.flight,
    f.hour,
    f.minute,
    dayofweek(make_date(f.year, f.month, f.day)) AS weekday,
    (f.sched_arr_time // 100 * 60 + f.sched_arr_time % 100 - f.hour * 60 - f.minute + 1440) % 1440 AS sched_minutes,
    f.distance,
    f.origin,
    f.dest,
    w.temp,
    w.dewp,
    w.humid,
    w.wind_speed,
    w.wind_gust,
    w.precip,
    w.pressure,
    w.visib
FROM flights AS f
ASOF LEFT JOIN weather AS w
    ON w.origin = f.origin AND f.time_hour >= w.time_hour
