-- Members by a date among their attributes, on the day itself or by month and day in either calendar.
SELECT d.member_id AS member_id, 0 AS purchase_id, 0 AS ordinal
FROM member_dates d JOIN members m ON m.id = d.member_id
WHERE d.name = {name} AND {rows}
