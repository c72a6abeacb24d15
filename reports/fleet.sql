-- An aircraft that the register does not know stays in the list: its manufacturer, model, year and seats are empty.
SELECT
    tailnum,
    planes.manufacturer,
    planes.model,
    planes.year AS built,
    planes.seats,
    count(*) AS flights,
    round(sum(air_time) / 60, 1) AS hours,
    sum(distance) AS distance
FROM flights
LEFT JOIN planes USING (tailnum)
GROUP BY ALL
ORDER BY flights DESC, tailnum
