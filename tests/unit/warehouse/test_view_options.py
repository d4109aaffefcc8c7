"""The options of the views: valid ones are kept, invalid ones are refused in one line."""

from datetime import timedelta

import pytest

from airflow_provider_metaconv.warehouse.view_options import ViewOptions, ViewOptionsError

KEYS = "time_zone, business_days, business_from, business_to, session_gap_minutes"
HOURS = {"business_days": ["fri", "mon"], "business_from": "09:00", "business_to": "24:00"}


def test_options_survive_json_types():
    options = ViewOptions.parse({"time_zone": "Europe/Berlin", "session_gap_minutes": 30, **HOURS})
    assert ViewOptions.parse(options.as_dict()) == options


def test_business_hours_are_durations_after_midnight():
    options = ViewOptions.parse(HOURS)
    assert (options.opens, options.closes) == (timedelta(hours=9), timedelta(hours=24))
    assert options.business_weekdays == (0, 4)


def test_no_options_are_the_defaults():
    assert ViewOptions.parse(None) == ViewOptions.parse({}) == ViewOptions()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("UTC", f"view_options must be an object with some of {KEYS}"),
        ({"timezone": "UTC"}, f"view_options has an unknown key: the keys are {KEYS}"),
        ({"time_zone": "Mars"}, "time_zone must be an IANA name, such as Europe/Berlin"),
        ({"time_zone": "'; DROP TABLE messages"}, "time_zone must be an IANA name, such as Europe/Berlin"),
        ({"time_zone": 1}, "time_zone must be an IANA name, such as Europe/Berlin"),
        (HOURS | {"business_days": ["Monday"]}, "business_days must be a list of mon, tue, wed, thu, fri, sat, sun"),
        (HOURS | {"business_days": "mon"}, "business_days must be a list of mon, tue, wed, thu, fri, sat, sun"),
        (HOURS | {"business_days": [["mon"]]}, "business_days must be a list of mon, tue, wed, thu, fri, sat, sun"),
        (HOURS | {"business_to": None}, "business_days, business_from and business_to must be given together"),
        ({"business_days": ["mon"]}, "business_days, business_from and business_to must be given together"),
        (HOURS | {"business_from": "9"}, "business_from must be a time such as 09:00"),
        (HOURS | {"business_from": 9}, "business_from must be a time such as 09:00"),
        (HOURS | {"business_to": "24:30"}, "business_to must be a time such as 09:00"),
        (HOURS | {"business_to": "09:00"}, "business_to must be later than business_from"),
        ({"session_gap_minutes": 0}, "session_gap_minutes must be a whole number from 1 to 527,040"),
        ({"session_gap_minutes": 1.5}, "session_gap_minutes must be a whole number from 1 to 527,040"),
        ({"session_gap_minutes": True}, "session_gap_minutes must be a whole number from 1 to 527,040"),
    ],
)
def test_invalid_options_are_refused_in_one_line(setting, message):
    with pytest.raises(ViewOptionsError) as caught:
        ViewOptions.parse(setting)
    assert str(caught.value) == message
