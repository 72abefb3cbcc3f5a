//! Python's `datetime`, whose pickle is ten bytes: year, month, day, hour, minute, second, microsecond.

use crate::handler::state::WallMicros;

const DAY: i64 = 86_400_000_000;

/// The first and the last time that a `datetime` can tell: years 1 to 9999.
const FIRST: WallMicros = -62_135_596_800_000_000;
const LAST: WallMicros = 253_402_300_799_999_999;

/// The time told by the ten bytes, taken as UTC; `None` where they tell none.
pub(super) fn from_bytes(bytes: &[u8]) -> Option<WallMicros> {
    let &[year1, year0, month, day, hour, minute, second, micro2, micro1, micro0] = bytes else { return None };
    let year = i64::from(u16::from_be_bytes([year1, year0]));
    // The high bit is `fold`: which of two equal local times is meant. UTC has none that are equal.
    let month = i64::from(month & 0x7f);
    let micro = i64::from(u32::from_be_bytes([0, micro2, micro1, micro0]));
    let valid = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&i64::from(day))
        && hour < 24
        && minute < 60
        && second < 60
        && micro < 1_000_000;
    if !valid {
        return None;
    }
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some(days_before(year, month, i64::from(day)) * DAY + seconds * 1_000_000 + micro)
}

/// The ten bytes that tell `time` in UTC. Times outside the years 1 to 9999 become the nearest within.
pub(super) fn to_bytes(time: WallMicros) -> [u8; 10] {
    let time = time.clamp(FIRST, LAST);
    let (days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (seconds, micro) = (rest / 1_000_000, rest % 1_000_000);
    let [.., year1, year0] = year.to_be_bytes();
    let [.., micro2, micro1, micro0] = micro.to_be_bytes();
    let byte = |number: i64| u8::try_from(number).unwrap_or_default();
    let clock = (byte(seconds / 3600), byte(seconds / 60 % 60), byte(seconds % 60));
    [year1, year0, byte(month), byte(day), clock.0, clock.1, clock.2, micro2, micro1, micro0]
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date. Years are counted from March, so that the leap day comes last.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (months * 153 + 2) / 5 + day
        - 719_469
}

/// The date that is `days` after 1970-01-01: the inverse of [`days_before`].
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097; // days in 400 years
    let days = days + 719_468; // from 0000-03-01
    let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let months = (day * 5 + 2) / 153;
    let month = if months < 10 { months + 3 } else { months - 9 };
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, day - (months * 153 + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let epoch = [0x07, 0xb2, 1, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(from_bytes(&epoch), Some(0));
        assert_eq!(to_bytes(0), epoch);
        // 2024-02-29 12:34:56.789012 UTC
        let leap = [0x07, 0xe8, 2, 29, 12, 34, 56, 0x0c, 0x0a, 0x14];
        assert_eq!(from_bytes(&leap), Some(1_709_210_096_789_012));
        assert_eq!(to_bytes(1_709_210_096_789_012), leap);
    }

    #[test]
    fn days_there_and_back() {
        for days in (FIRST / DAY..=LAST / DAY).step_by(5) {
            let time = days * DAY + 1;
            assert_eq!(from_bytes(&to_bytes(time)), Some(time), "day {days}");
        }
    }

    #[test]
    fn times_outside_are_the_nearest_within() {
        assert_eq!(from_bytes(&to_bytes(i64::MAX)), Some(LAST));
        assert_eq!(from_bytes(&to_bytes(i64::MIN)), Some(FIRST));
    }

    #[test]
    fn what_is_no_time() {
        let good = to_bytes(0);
        for (place, byte) in [(2, 0), (2, 13), (3, 0), (3, 32), (4, 24), (5, 60), (6, 60), (7, 0x0f)] {
            let mut bytes = good;
            bytes[place] = byte;
            if place == 7 {
                bytes[8] = 0xff;
            }
            assert_eq!(from_bytes(&bytes), None, "{bytes:?}");
        }
        assert_eq!(from_bytes(&[0x07, 0xe7, 2, 29, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(from_bytes(&good[..9]), None);
    }
}
