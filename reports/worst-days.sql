-- The date decides between equal delays: a query with LIMIT needs a total order, or a retry could list other days.
SELECT
    make_date(year, month, day) AS date,
    count(*) AS flights,
    count(*) FILTER (dep_delay IS NULL) AS cancelled,
    count(*) FILTER (dep_delay >= $late) AS late,
    round(avg(dep_delay), 2) AS mean_delay,
    max(dep_delay) AS longest_delay
FROM flights
GROUP BY year, month, day
HAVING count(dep_delay) > 0
ORDER BY mean_delay DESC, date
LIMIT $days
