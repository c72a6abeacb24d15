-- A cancelled flight has no delay. avg, median and quantiles ignore nulls.
SELECT
    year,
    month,
    origin,
    count(*) AS flights,
    count(*) FILTER (dep_delay IS NULL) AS cancelled,
    round(avg(dep_delay), 2) AS mean_delay,
    median(dep_delay) AS median_delay,
    round(avg(CAST(dep_delay > 15 AS INTEGER)), 4) AS late_share
FROM flights
WHERE $origin IS NULL OR origin = $origin
GROUP BY year, month, origin
ORDER BY year, month, origin
