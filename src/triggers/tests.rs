//! Yearly occasions as a property: one a year, for every date, zone, rule and way to cut time.

use chrono::{Days, NaiveDate, TimeZone, Utc};
use proptest::prelude::*;

use super::ALL;
use crate::domain::Instant;
use crate::domain::birth_date::BirthDate;
use crate::domain::calendar::{Calendar, MonthDay, from_calendar, in_calendar, local_date, local_midnight};
use crate::domain::campaign::Campaign;
use crate::domain::member::Member;
use crate::domain::member::samples::{brand, member};
use crate::domain::occasion::{Candidate, Occasion};

fn campaign(trigger: &str) -> Campaign {
    let text = format!("name: c\ntrigger: {{ {trigger} }}\nchannels: [sms]\ncontent: c\n");
    Campaign::parse("c.yaml", &text, &brand(), ALL).unwrap()
}

fn candidate(birth: Option<BirthDate>, joined: Option<Instant>, calendar: Calendar, zone: usize) -> Candidate {
    let zone = chrono_tz::TZ_VARIANTS[zone % chrono_tz::TZ_VARIANTS.len()];
    let member =
        Member { birth_date: birth, joined_at: joined, calendar: Some(calendar), timezone: Some(zone), ..member() };
    Candidate { member, order: None, history: None, ordinal: 0 }
}

/// The occasions from the start of one Gregorian year to the end of another, cut at some instants.
fn between(campaign: &Campaign, candidate: &Candidate, from: i32, to: i32, cuts: &[f64]) -> Vec<Occasion> {
    let start = Utc.with_ymd_and_hms(from, 1, 1, 0, 0, 0).unwrap();
    let end = Utc.with_ymd_and_hms(to + 1, 1, 1, 0, 0, 0).unwrap();
    let mut bounds: Vec<Instant> = cuts.iter().map(|cut| start + (end - start).mul_f64(*cut)).collect();
    bounds.extend([start, end]);
    bounds.sort();
    bounds.windows(2).flat_map(|span| campaign.trigger.occasions(candidate, span[0], span[1], &brand())).collect()
}

/// `chrono::Duration` knows no product with a fraction.
trait MulF64 {
    fn mul_f64(self, factor: f64) -> Self;
}

impl MulF64 for chrono::Duration {
    fn mul_f64(self, factor: f64) -> Self {
        chrono::Duration::milliseconds((self.num_milliseconds() as f64 * factor) as i64)
    }
}

/// 1900 to 2100, 1206 to 1498 AP: dates that the two calendars share.
fn any_date() -> impl Strategy<Value = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap();
    prop_oneof![
        (0_u64..73_414).prop_map(move |days| first + Days::new(days)),
        // Leap days and their neighbours are where rules differ.
        (1900_i32..2101, 27_u64..32)
            .prop_map(|(year, day)| NaiveDate::from_ymd_opt(year, 2, 1).unwrap() + Days::new(day - 1)),
        (1279_i32..1479, 0_u64..4).prop_map(|(year, day)| {
            from_calendar(year, MonthDay { month: 12, day: 28 }, Calendar::Persian).unwrap() + Days::new(day)
        }),
    ]
}

fn calendars() -> impl Strategy<Value = Calendar> {
    prop_oneof![Just(Calendar::Gregorian), Just(Calendar::Persian)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_birthday_comes_once_in_every_year(
        born in any_date(), yearless in any::<bool>(), calendar in calendars(), zone in 0_usize..600,
        days_before in 0_u64..=180, leap in prop_oneof![Just("before"), Just("after")],
        from in 1900_i32..2090, years in 1_i32..12, cuts in prop::collection::vec(0.0_f64..1.0, 0..6),
    ) {
        let campaign = campaign(&format!("kind: birthday, days_before: {days_before}, leap_day: {leap}"));
        let at = in_calendar(born, calendar).1;
        let birth = if yearless { BirthDate::Yearless(at) } else { BirthDate::Full(born) };
        let candidate = candidate(Some(birth), None, calendar, zone);
        let found = between(&campaign, &candidate, from, from + years, &cuts);
        let keys: Vec<i32> = found.iter().map(|occasion| occasion.key.parse().unwrap()).collect();
        // One after the other, a year each, none left out and none twice.
        prop_assert!(keys.windows(2).all(|pair| pair[1] == pair[0] + 1), "{keys:?}");
        let birth_year = in_calendar(born, calendar).0;
        prop_assert!(yearless || keys.iter().all(|key| *key > birth_year), "{keys:?}");
        // Every whole year of the calendar in the span has its birthday, once the member is born.
        let (first, last) = (in_calendar(NaiveDate::from_ymd_opt(from, 1, 1).unwrap(), calendar).0 + 2,
            in_calendar(NaiveDate::from_ymd_opt(from + years, 12, 31).unwrap(), calendar).0 - 1);
        for year in first..=last {
            prop_assert!(keys.contains(&year) == (yearless || year > birth_year), "{year} in {keys:?}");
        }
        for occasion in &found {
            // At the start of a local day: the day before it, the clock shows another date.
            let zone = candidate.member.zone(&brand());
            let day = local_date(zone, occasion.base);
            prop_assert!(local_date(zone, occasion.base - chrono::Duration::milliseconds(1)) < day);
            // The birthday itself; in common years the leap day's neighbour; where the zone never saw
            // that day, the one that began in its stead.
            let (eve, stand_ins) = (day - Days::new(1), [(2, 28), (3, 1), (12, 29), (1, 1)]);
            let shows = |day: NaiveDate| {
                let shown = in_calendar(day + Days::new(days_before), calendar).1;
                let is_leap_day = [(2, 29), (12, 30)].contains(&(at.month, at.day));
                shown == at || is_leap_day && stand_ins.contains(&(shown.month, shown.day))
            };
            prop_assert!(shows(day) || local_midnight(zone, eve) == occasion.base && shows(eve), "{zone} {day}");
        }
    }

    #[test]
    fn an_anniversary_comes_once_in_every_year(
        joined in any_date(), hour in 0_i64..24, calendar in calendars(), zone in 0_usize..600,
        leap in prop_oneof![Just("before"), Just("after")], cuts in prop::collection::vec(0.0_f64..1.0, 0..6),
    ) {
        let campaign = campaign(&format!("kind: anniversary, leap_day: {leap}"));
        let joined_at = joined.and_hms_opt(0, 0, 0).unwrap().and_utc() + chrono::Duration::hours(hour);
        let candidate = candidate(None, Some(joined_at), calendar, zone);
        let year = chrono::Datelike::year(&joined);
        let found = between(&campaign, &candidate, year - 1, year + 12, &cuts);
        let keys: Vec<i64> = found.iter().map(|occasion| occasion.key.parse().unwrap()).collect();
        let expected: Vec<i64> = (1..=keys.len() as i64).collect();
        prop_assert_eq!(&keys, &expected);
        prop_assert!((11..=13).contains(&keys.len()), "{:?}", keys);
        prop_assert!(found.iter().all(|occasion| occasion.base > joined_at));
    }
}
