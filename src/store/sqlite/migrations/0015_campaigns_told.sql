-- When administrators were told of an attack: found without reading all there are. A record that is none is at no time.
CREATE INDEX campaigns_by_told ON campaigns (
    CASE WHEN json_valid(record_json) THEN json_extract(record_json, '$.told_at') END
);
