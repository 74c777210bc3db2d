//! One line of a request log: `unix_seconds TAB key`, or Apache/nginx combined.

use std::time::Duration;

/// The time of a request since 1970, and its key.
pub(crate) type Request<'a> = (Duration, &'a [u8]);

/// Reads a line of either format; `None` if it is neither. `cut` says that the line was longer
/// than what is given here.
pub(crate) fn line(line: &[u8], cut: bool) -> Option<Request<'_>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match tab_separated(line) {
        // The key of a cut line is not whole, and might be taken for another one.
        Some(request) => (!cut).then_some(request),
        None => combined(line),
    }
}

fn tab_separated(line: &[u8]) -> Option<Request<'_>> {
    let tab = line.iter().position(|&b| b == b'\t')?;
    let at = seconds(line[..tab].trim_ascii())?;
    let key = &line[tab + 1..];
    (!key.is_empty()).then_some((at, key))
}

/// `1431857103` or `1431857103.25`. Too many digits saturate: the time is absurd, but it is one.
fn seconds(text: &[u8]) -> Option<Duration> {
    let dot = text.iter().position(|&b| b == b'.');
    let whole = number(&text[..dot.unwrap_or(text.len())])?;
    let mut nanos = 0;
    if let Some(dot) = dot {
        let digits = &text[dot + 1..];
        number(digits)?;
        for place in 0..9 {
            nanos = nanos * 10 + digits.get(place).map_or(0, |d| u32::from(d - b'0'));
        }
    }
    Some(Duration::new(whole, nanos))
}

/// Decimal digits only: no sign, no spaces.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0, |n: u64, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))),
    )
}

/// `address ident user [day/month/year:hour:minute:second zone] "request" ...`
fn combined(line: &[u8]) -> Option<Request<'_>> {
    let space = line.iter().position(|&b| b == b' ')?;
    let address = &line[..space];
    if address.is_empty() {
        return None;
    }
    // The user is the client's own text and may hold brackets; the time comes before the request.
    let quote = line.iter().position(|&b| b == b'"').unwrap_or(line.len());
    let head = &line[..quote.max(space)];
    let at = (space..head.len())
        .filter(|&i| head[i] == b'[')
        .find_map(|i| date(head.get(i + 1..i + 27)?, head.get(i + 27)?))?;
    Some((at, address))
}

/// `17/May/2015:10:05:03 +0000`, then a closing bracket.
fn date(text: &[u8], close: &u8) -> Option<Duration> {
    let marks = [(2, b'/'), (6, b'/'), (11, b':'), (14, b':'), (17, b':'), (20, b' ')];
    if *close != b']' || marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let field = |from: usize, to: usize| number(&text[from..to]).map(|n| n as i64);
    let names = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = 1 + names.chunks(3).position(|name| name == &text[3..6])? as i64;
    let (day, year) = (field(0, 2)?, field(7, 11)?);
    let (hour, minute, second) = (field(12, 14)?, field(15, 17)?, field(18, 20)?);
    let sign = match text[21] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (zone_hour, zone_minute) = (field(22, 24)?, field(24, 26)?);
    // A second of 60 is a leap second.
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if zone_hour > 23 || zone_minute > 59 {
        return None;
    }
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let unix = local - sign * (zone_hour * 3600 + zone_minute * 60);
    u64::try_from(unix).ok().map(Duration::from_secs)
}

/// Days since 1970-01-01 of a Gregorian date. The year is taken to begin in March, which puts the
/// leap day last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Duration> {
        line(text.as_bytes(), false).map(|(at, _)| at)
    }

    fn secs(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn tab_separated_lines() {
        assert_eq!(line(b"12\tkey\r", false), Some((Duration::from_secs(12), &b"key"[..])));
        assert_eq!(at("123.45\tk"), Some(Duration::from_millis(123_450)));
        assert_eq!(at("1.0000000019\tk"), Some(Duration::new(1, 1)));
        assert_eq!(at("99999999999999999999999\tk"), secs(u64::MAX));
        assert_eq!(line(b"1\t\xff\xfe", false), Some((Duration::from_secs(1), &b"\xff\xfe"[..])));
    }

    #[test]
    fn broken_lines() {
        for text in ["", "\t", "12", "12\t", "-5\tk", "+5\tk", "1e9\tk", "1.\tk", ".5\tk", "x y z"]
        {
            assert_eq!(at(text), None, "{text:?}");
        }
        assert_eq!(line(b"12\tlong", true), None);
    }

    #[test]
    fn combined_lines() {
        let time = "[17/May/2015:10:05:03 +0000]";
        assert_eq!(
            at(&format!("1.2.3.4 - - {time} \"GET / HTTP/1.1\" 200 1")),
            secs(1_431_857_103)
        );
        assert_eq!(at(&format!("::1 - a [b] {time}")), secs(1_431_857_103));
        assert_eq!(at("h - - [17/May/2015:12:35:03 +0230] \"\""), secs(1_431_857_103));
        assert_eq!(at("h - - [17/May/2015:02:05:03 -0800] \"\""), secs(1_431_857_103));
        assert_eq!(at("h - - [29/Feb/2000:00:00:00 +0000] \"\""), secs(951_782_400));
        assert_eq!(line(format!("h - - {time}").as_bytes(), true).map(|r| r.1), Some(&b"h"[..]));
    }

    #[test]
    fn broken_combined_lines() {
        for time in [
            "[17/May/2015:10:05:03 +0000",
            "[17/Mai/2015:10:05:03 +0000]",
            "[17/May/2015:24:05:03 +0000]",
            "[00/May/2015:10:05:03 +0000]",
            "[17/May/2015:10:05:03 0000]",
            "[01/Jan/1960:00:00:00 +0000]",
            "\"[17/May/2015:10:05:03 +0000]\"",
        ] {
            assert_eq!(at(&format!("1.2.3.4 - - {time} ")), None, "{time}");
        }
        assert_eq!(at(" [17/May/2015:10:05:03 +0000]"), None);
    }
}
