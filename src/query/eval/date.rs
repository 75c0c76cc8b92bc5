//! The calendar, in UTC.

/// Date and time of a second since the epoch. Years beyond what 64 bits of seconds can name are cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    /// Days since the epoch.
    days: i64,
}

impl Date {
    pub(super) fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Howard Hinnant's civil_from_days: eras of 400 years that begin in March.
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Date {
            year: yoe + era * 400 + i64::from(month <= 2),
            month,
            day: doy - (153 * mp + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            days,
        }
    }

    /// 0 is Sunday.
    pub(super) fn weekday(self) -> i64 {
        (self.days + 4).rem_euclid(7)
    }

    /// From 1.
    pub(super) fn day_of_year(self) -> i64 {
        (1..self.month).map(|month| Date { month, ..self }.days_in_month()).sum::<i64>() + self.day
    }

    pub(super) fn days_in_month(self) -> i64 {
        match self.month {
            4 | 6 | 9 | 11 => 30,
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            _ => 31,
        }
    }
}

/// As RFC 3339 writes it.
pub(super) fn rfc3339(seconds: i64) -> String {
    let d = Date::of(seconds);
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", d.year, d.month, d.day, d.hour, d.minute, d.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_know_leap_years_and_times_before_the_epoch() {
        assert_eq!(rfc3339(1_456_790_399), "2016-02-29T23:59:59Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
        assert_eq!(Date::of(1_483_191_420).day_of_year(), 366);
        assert_eq!(Date::of(0).weekday(), 4);
        assert_eq!(Date::of(951_782_400).days_in_month(), 29);
        assert_eq!(Date::of(i64::MIN).days_in_month() / 28, 1);
    }
}
