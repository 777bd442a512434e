//! Pages of every report, with names that attack them.

use std::collections::BTreeMap;

use super::page;
use crate::domain::Instant;
use crate::domain::brand::Brand;
use crate::domain::calendar::Calendar;
use crate::domain::experiment::verdict::Because;
use crate::domain::member::samples;
use crate::domain::message::{Channel, Reason};
use crate::domain::period::{Periods, Unit};
use crate::domain::rfm::Cuts;
use crate::reports::cltv::{Cltv, Tenth};
use crate::reports::cohorts::{Cohort, CohortPeriod, Cohorts};
use crate::reports::effect::{Arm, Comparison, Effect, Ends, Mean, Part};
use crate::reports::loyalty::{Kept, Loyalty};
use crate::reports::power::{Power, Wanted};
use crate::reports::programme::{By, Funnel, Programme};
use crate::reports::rfm::{Move, Rfm, Square};
use crate::reports::sheet::{Cell, Chart, Sheet, Table, Text};
use crate::reports::words::{Language, persian};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}\"'&\u{2069}</bdi></svg><script>";

fn at(text: &str) -> Instant {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn periods(unit: Unit, calendar: Calendar) -> Periods {
    Periods { unit, calendar, week_begins: chrono::Weekday::Sat }
}

fn funnel(part: &str, n: i64) -> Funnel {
    Funnel {
        part: part.to_owned(),
        due: 20 * n,
        waiting: n,
        not_sent: 2 * n,
        sent: 17 * n,
        fell_back: n,
        delivered: 15 * n,
        bounced: n,
        complained: n,
        opened: 9 * n,
        prefetched: 4 * n,
        clicked: 3 * n,
        unsubscribed: n,
        credited_orders: 2 * n,
        credited_revenue: 1_250_000.0 * n as f64,
        codes_used: n,
        message_cost: 1_000.5,
        because: Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), n)).collect(),
        ..Funnel::default()
    }
}

fn programme(by: By) -> Programme {
    let names: &[&str] = match by {
        By::Arm => &["holdout", "brand_holdout", "treated", HOSTILE, ""],
        By::Channel => &["email", "sms"],
        By::Period => &["2026-03-21", "2026-04-21", "2026-05-22"],
        By::Locale => &["fa", "en", "fa-IR", HOSTILE],
        By::Domain => &["gmail.com", "other", HOSTILE],
        _ => &["plain", HOSTILE, "سلام", ""],
    };
    let parts: Vec<Funnel> = names.iter().enumerate().map(|(place, name)| funnel(name, 90 + place as i64)).collect();
    let [from, to] = ["2026-03-21", "2026-06-22"].map(|date| date.parse().unwrap());
    Programme { from, to, by, currency: "IRR".to_owned(), parts, total: funnel("", 400), counts_read: 9 }
}

fn loyalty(by: &str, parts: &[&str]) -> Loyalty {
    let kept = parts.iter().enumerate().map(|(place, part)| Kept {
        part: (*part).to_owned(),
        members: 1_200,
        points: 3,
        customers_at_start: 500,
        customers_at_end: 600,
        new_customers: 200,
        retention: (place != 1).then_some(0.8),
        buyers: 300,
        repeat_rate: Some(0.25),
        orders: 400,
        orders_per_buyer: Some(1.3),
        revenue: 5e9,
        average_order: Some(1e7),
        days_between_orders: Some(31.5),
        other_currencies: 2,
        ..Kept::default()
    });
    Loyalty {
        from: at("2026-03-20"),
        to: at("2026-06-20"),
        active_within_days: 365.0,
        currency: "IRR".to_owned(),
        by: by.to_owned(),
        parts: kept.collect(),
    }
}

fn cohorts() -> Cohorts {
    let period = |members, share| CohortPeriod { members, share: Some(share), revenue: 1e6 * members as f64 };
    let cohort = |start: &str, periods: Vec<_>| Cohort { start: start.parse().unwrap(), members: 90, periods };
    let cohorts = vec![
        cohort("2026-03-21", vec![period(90, 1.0), period(30, 0.33)]),
        cohort("2026-04-21", vec![period(90, 1.0)]),
    ];
    Cohorts { from: at("2026-03-21"), to: at("2026-05-21"), currency: "IRR".to_owned(), cohorts }
}

fn rfm() -> Rfm {
    let cuts = Cuts { recency: [4, 3, 2, 1], frequency: [1, 2, 3, 4], monetary: [1, 2, 3, 4] };
    let square = |recency, frequency, members| Square { recency, frequency, members, revenue: 5.0 };
    let moved =
        |recency_before, recency| Move { recency_before, frequency_before: 1, recency, frequency: 1, members: 4 };
    Rfm {
        from: at("2026-03-21"),
        at: at("2026-04-21"),
        fitted_at: at("2026-04-20"),
        cuts,
        currency: "IRR".to_owned(),
        grid: vec![square(1, 1, 40), square(5, 5, 12), square(3, 4, 0)],
        moves: vec![moved(0, 5), moved(5, 4)],
    }
}

fn cltv() -> Cltv {
    let tenth = |tenth, share| Tenth { tenth, customers: 10, expected_revenue: 1e8, share: Some(share), least: 5e5 };
    Cltv {
        at: at("2026-04-21"),
        currency: "IRR".to_owned(),
        discount: 0.1,
        customers: 20,
        alive: 11.6,
        expected_revenue: Some(2e8),
        tenths: vec![tenth(1, 0.7), tenth(2, 0.3)],
    }
}

fn comparison(arm: &str, against: &str, reason: Because, verdict: &'static str) -> Comparison {
    let mean = Mean {
        difference: Some(1_200.0),
        se: Some(400.0),
        low: Some(-300.0),
        high: Some(2_700.0),
        p: Some(0.0123),
        p_holm: Some(0.0246),
        always_valid: Some(Ends { low: -900.0, high: 3_300.0 }),
        smallest_detectable: Some(1_120.6),
        welch: None,
    };
    Comparison {
        arm: arm.to_owned(),
        against: against.to_owned(),
        revenue_per_member: mean.clone(),
        net_per_member: mean,
        buyers_share: Part { difference: None, low: None, high: None, p: None, p_holm: None },
        verdict,
        because: String::new(),
        reason,
    }
}

fn effect(campaign: Option<&str>, run: Option<i64>) -> Effect {
    let (low, high) = (300.0, 2_700.0);
    let comparisons = [
        ("too_few", Because::TooFew { more_members: 1_500 }),
        ("too_few", Because::NoBuyers),
        ("works", Because::Works { low, high }),
        ("harms", Because::Harms { low, high }),
        ("promising", Because::WrongSizes),
        ("promising", Because::Promising { low, high }),
        ("worrying", Because::Worrying { low, high }),
        ("no_difference", Because::NoDifference { low, high, detectable: 900.0 }),
        ("no_difference", Because::Same),
    ];
    let against = ["holdout", "brand_holdout", HOSTILE];
    let pairs = comparisons
        .iter()
        .flat_map(|(verdict, reason)| against.map(|arm| comparison("treated", arm, *reason, verdict)));
    let arm = |name: &str, members| Arm {
        arm: name.to_owned(),
        members,
        buyers: members / 5,
        orders: members / 4,
        revenue: 1e6 * members as f64,
        gift_cost: 5e4,
        message_cost: 120.5,
        not_yet: 12,
        other_currencies: 3,
    };
    Effect {
        campaign: campaign.map(str::to_owned),
        from: run.filter(|run| *run > 1).map(|_| at("2026-03-21")),
        to: at("2026-06-21"),
        at: at("2026-06-22"),
        within_days: 14.0,
        currency: "IRR".to_owned(),
        run,
        other_runs: vec![3],
        without_experiment: 4,
        arms: vec![arm("holdout", 200), arm("treated", 1_800), arm(HOSTILE, 0)],
        comparisons: if run.is_some() { pairs.collect() } else { vec![] },
        warnings: vec!["sample_ratio"],
    }
}

fn power(mean: Option<f64>) -> Power {
    let wanted = |lift, members| Wanted { lift, difference: Some(5e4), members, weeks: Some(3.5) };
    Power {
        campaign: HOSTILE.to_owned(),
        at: at("2026-04-21"),
        within_days: 14.0,
        currency: "IRR".to_owned(),
        holdout: 0.1,
        members: 1_200,
        buyers: 300,
        revenue_per_member: mean,
        deviation: mean,
        coming: 90,
        wanted: vec![wanted(0.05, Some(40_000)), wanted(0.2, None)],
    }
}

/// Every report, with all that its sheet may say.
fn sheets(brand: &Brand) -> Vec<Sheet> {
    let title = || Text::new("Campaign {0}", [Cell::Name(HOSTILE.to_owned())]);
    let mut all = Vec::new();
    for by in By::ALL {
        for unit in Unit::ALL {
            for calendar in [Calendar::Persian, Calendar::Gregorian] {
                all.push(programme(*by).sheet(title(), periods(*unit, calendar)));
            }
        }
        all.push(programme(*by).deliverability(periods(Unit::Month, Calendar::Persian)));
    }
    let small = Programme { parts: vec![funnel("a", 1)], total: funnel("", 1), ..programme(By::Domain) };
    all.push(small.deliverability(periods(Unit::Month, Calendar::Persian)));
    let fine = Funnel { bounced: 0, complained: 0, ..funnel("a", 90) };
    let high = Funnel { bounced: 100, complained: 0, ..funnel("b", 90) };
    let judged = Programme { parts: vec![fine, high], ..programme(By::Domain) };
    all.push(judged.deliverability(periods(Unit::Month, Calendar::Persian)));
    let day = programme(By::Campaign);
    let day = Programme { to: day.from.succ_opt().unwrap(), ..day };
    all.push(day.sheet("Today".into(), periods(Unit::Day, Calendar::Persian)));
    for (title, empty) in [("Today", By::Campaign), ("All campaigns", By::Period)] {
        let nothing = Programme { parts: vec![], total: Funnel::default(), ..programme(empty) };
        all.push(nothing.sheet(title.into(), periods(Unit::Day, Calendar::Persian)));
    }
    all.push(loyalty("", &[""]).sheet(brand, None));
    all.push(loyalty("tier", &["gold", HOSTILE, ""]).sheet(brand, None));
    all.push(loyalty("locale", &["fa", HOSTILE, ""]).sheet(brand, None));
    let months = ["2026-03-21", "2026-04-21", "2026-05-22"];
    all.push(loyalty("month", &months).sheet(brand, Some(periods(Unit::Month, Calendar::Persian))));
    for unit in Unit::ALL {
        all.push(cohorts().sheet(brand, periods(*unit, Calendar::Persian)));
    }
    all.extend([rfm().sheet(brand), cltv().sheet(brand)]);
    for (campaign, run) in [(Some(HOSTILE), Some(1)), (None, Some(2)), (Some(HOSTILE), None), (None, None)] {
        all.push(effect(campaign, run).sheet(brand));
    }
    all.extend([power(Some(1e6)).sheet(), power(None).sheet()]);
    all
}

/// The English of all that is said in cells and texts.
fn said<'a>(text: &'a Text, into: &mut Vec<&'a Text>) {
    into.push(text);
    for cell in &text.values {
        if let Cell::Word(text) = cell {
            said(text, into);
        }
    }
}

#[test]
fn all_that_reports_say_is_said_in_persian() {
    let (brand, mut missing) = (samples::brand(), BTreeMap::new());
    let sheets = sheets(&brand);
    let mut check = |english: &'static str| {
        if !english.bytes().all(|b| b.is_ascii_digit()) && persian(english).is_none() {
            missing.insert(english, ());
        }
    };
    for sheet in &sheets {
        let mut texts = Vec::new();
        for text in [&sheet.title].into_iter().chain(&sheet.about).chain(&sheet.notes) {
            said(text, &mut texts);
        }
        for table in &sheet.tables {
            check(table.name);
            table.columns.iter().for_each(|column| check(column));
            for cell in table.rows.iter().flatten() {
                if let Cell::Word(text) = cell {
                    said(text, &mut texts);
                }
            }
        }
        texts.iter().for_each(|text| check(text.english));
    }
    Channel::ALL.iter().for_each(|channel| check(channel.as_str()));
    assert!(missing.is_empty(), "no Persian for {:#?}", missing.keys());
}

/// What stands between tags, of an element with all its attributes.
fn all<'a>(page: &'a str, element: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{element}"), format!("</{element}>"));
    let opened = page.split(&begin).skip(1).filter(|rest| rest.starts_with([' ', '>']));
    opened.map(|rest| rest.split(&end).next().unwrap()).collect()
}

#[test]
fn a_page_is_whole_by_itself_and_says_what_everything_is() {
    let brand = samples::brand();
    for sheet in sheets(&brand) {
        for language in Language::ALL {
            let page = page(&sheet, *language, &brand.name);
            assert!(
                page.starts_with(&format!(
                    "<!DOCTYPE html><html lang=\"{language}\" dir=\"{}\">",
                    language.direction()
                ))
            );
            for forbidden in
                ["<script", "<img", "http:", "https:", "src=\"", "href=", "url(", "@import", " style=", "onload="]
            {
                assert!(!page.contains(forbidden), "{forbidden} in {page}");
            }
            assert_eq!(all(&page, "h1").len(), 1);
            assert_eq!(all(&page, "style").len(), 1);
            for table in all(&page, "table") {
                assert_eq!(all(table, "caption").len(), 1, "{table}");
                let heads = all(table, "thead")[0];
                assert!(all(heads, "th").iter().all(|head| head.starts_with(" scope=\"col\"")), "{heads}");
                let rows = all(all(table, "tbody")[0], "tr");
                assert!(!rows.is_empty());
                for row in rows {
                    let named = all(row, "th");
                    assert!(named.len() == 1 && named[0].starts_with(" scope=\"row\""), "{row}");
                    assert_eq!(all(row, "td").len() + 1, all(heads, "th").len(), "{row}");
                }
            }
            for drawn in page.split("role=\"img\"").skip(1) {
                assert!(drawn.contains("><title id=\"t") && drawn.contains("</title><desc id=\"d"), "{drawn}");
            }
            let drawn = sheet.tables.iter().filter(|table| matches!(table.chart, Some(Chart::Heat { .. })));
            assert!(drawn.count() <= page.matches("role=\"img\"").count());
            // Only the marks of a legend have no name, and are hidden.
            assert!(page.matches("<svg").count() >= page.matches("role=\"img\"").count());
        }
    }
}

#[test]
fn names_are_escaped_and_turn_nothing_around() {
    let brand = Brand { name: HOSTILE.to_owned(), ..samples::brand() };
    for sheet in sheets(&brand) {
        for language in Language::ALL {
            let page = page(&sheet, *language, &brand.name);
            let written = "&lt;img src=x onerror=alert(1)&gt;\\u{202e}&quot;'&amp;\\u{2069}&lt;/bdi&gt;&lt;/svg&gt;&lt;script&gt;";
            assert!(page.contains(&format!("<bdi>{written}</bdi>")), "{page}");
            assert!(!page.contains('\u{202e}'));
            // Each isolation is ended where it began.
            assert_eq!(page.matches('\u{2068}').count(), page.matches('\u{2069}').count());
            assert_eq!(page.matches("<bdi>").count(), page.matches("</bdi>").count());
        }
    }
}

/// The text of a page: no tags, no style.
fn text(page: &str) -> String {
    let body = page.split("<body").nth(1).unwrap();
    body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect::<Vec<_>>().join(" ")
}

#[test]
fn numbers_and_dates_of_a_persian_page_are_persian() {
    let brand = samples::brand();
    let sheet = loyalty("", &[""]).sheet(&brand, None);
    let persian = text(&page(&sheet, Language::Persian, &brand.name));
    assert!(!persian.contains(|c: char| c.is_ascii_digit()), "{persian}");
    // Dates are kept on one line, and ٪ stands left of its number.
    let between = "از ۲۹ اسفند ۱۴۰۴ تا ۳۰ خرداد ۱۴۰۵".replace("۲۹ اسفند ", "۲۹\u{a0}اسفند\u{a0}");
    let between = between.replace("۳۰ خرداد ", "۳۰\u{a0}خرداد\u{a0}");
    for expected in ["۱٬۲۰۰", "\u{61c}۸۰٫۰٪", "۵٬۰۰۰٬۰۰۰٬۰۰۰", "۳۱٫۵", &between, "ریال"]
    {
        assert!(persian.contains(expected), "{expected} in {persian}");
    }
    let english = text(&page(&sheet, Language::English, &brand.name));
    for expected in ["1,200", "80.0\u{a0}%", "5,000,000,000", "From 2026-03-20 to 2026-06-20.", "IRR"] {
        assert!(english.contains(expected), "{expected} in {english}");
    }
    let works = text(&page(&effect(Some("birthday"), Some(1)).sheet(&brand), Language::Persian, &brand.name));
    let between = "مؤثر است: هر عضو نسبت به گروه شاهد بین ۳۰۰_ریال و ۲٬۷۰۰_ریال بیشتر درآمد می‌آورد.";
    assert!(works.contains(&between.replace('_', "\u{a0}")), "{works}");
    assert!(works.contains("\u{200e}−۳۰۰"), "{works}");
}

#[test]
fn what_is_chosen_or_common_is_written_as_people_say_it() {
    let brand = samples::brand();
    let written = |sheet: &Sheet, language| text(&page(sheet, language, &brand.name));
    let check = |sheet: &Sheet, [english, persian]: [&str; 2]| {
        for (language, expected) in [(Language::English, english), (Language::Persian, persian)] {
            let page = written(sheet, language);
            assert!(page.contains(expected), "{expected} in {page}");
        }
    };
    let months = periods(Unit::Month, Calendar::Persian);
    check(&programme(By::Locale).sheet("Today".into(), months), [" fa ", " فارسی "]);
    check(&programme(By::Domain).deliverability(months), [" other ", " سایر "]);
    check(&loyalty("locale", &["en", ""]).sheet(&brand, None), [" en ", " انگلیسی "]);
    check(&loyalty("tier", &["en", ""]).sheet(&brand, None), [" en ", " en "]);
    let day = Programme { to: "2026-03-22".parse().unwrap(), ..programme(By::Campaign) };
    let on = ["Messages that fell due on 2026-03-21, and", "پیام‌هایی که موعدشان ۱\u{a0}فروردین\u{a0}۱۴۰۵ بوده"];
    check(&day.sheet("Today".into(), months), on);
    // Shares that somebody chose, on rows and scales; of many weeks no tenths.
    let months = loyalty("month", &["2026-03-21", "2026-04-21"]).sheet(&brand, Some(months));
    check(&months, [" 40\u{a0}% ", " \u{61c}۴۰٪ "]);
    let mut wanted = power(Some(1e6));
    wanted.wanted[0].weeks = Some(1_234.5);
    let sheet = wanted.sheet();
    check(&sheet, [" 5\u{a0}% ", " \u{61c}۵٪ "]);
    check(&sheet, ["With 10\u{a0}% held out", "با فرض \u{61c}۱۰٪ اعضا"]);
    check(&sheet, [" 1,235 ", " ۱٬۲۳۵ "]);
    check(&sheet, [" 3.5 ", " ۳٫۵ "]);
}

#[test]
fn an_estimate_stands_over_its_dot_and_meets_no_other_text() {
    let attribute = |element: &str, name: &str| {
        let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
        rest.split('"').next().unwrap().trim_end_matches('%').parse::<f64>().unwrap()
    };
    let sheet = effect(Some("birthday"), Some(1)).sheet(&samples::brand());
    for language in Language::ALL {
        let page = page(&sheet, *language, "x");
        let drawn = all(&page, "figure")[0];
        let texts = all(drawn, "text");
        let dots: Vec<&str> = drawn.split("<circle").skip(1).collect();
        let over = |dot: &&str| {
            texts
                .iter()
                .filter(|text| {
                    attribute(text, "x") == attribute(dot, "cx") && attribute(text, "y") == attribute(dot, "cy") - 12.0
                })
                .count()
        };
        assert!(!dots.is_empty() && dots.iter().all(|dot| over(dot) == 1), "{drawn}");
        // A line of its own for each text of a row.
        let mut lines: Vec<f64> = texts.iter().map(|text| attribute(text, "y")).collect();
        lines.truncate(lines.len() - 2);
        lines.sort_by(f64::total_cmp);
        assert!(lines.windows(2).all(|pair| pair[1] - pair[0] >= 18.0), "{lines:?}");
    }
}

#[test]
fn a_chart_is_drawn_of_any_numbers() {
    let numbers = [0.0, -5.0, 1e-9, 1e300, f64::NAN, f64::INFINITY];
    for (one, other) in numbers.iter().flat_map(|one| numbers.map(|other| (*one, other))) {
        for chart in [
            Chart::Bars { label: 0, values: vec![1] },
            Chart::Bars { label: 0, values: vec![1, 2, 3] },
            Chart::Lines { label: 0, values: vec![1, 2] },
            Chart::Heat { values: vec![1, 2, 9] },
            Chart::Intervals { label: 0, estimate: 1, low: 2, high: 3 },
        ] {
            let row =
                |one, other| vec![Cell::Name("x".to_owned()), Cell::Money(one), Cell::Money(other), Cell::Money(one)];
            let rows = vec![row(one, other), row(other, one), vec![Cell::Nothing]];
            let table =
                Table { name: "revenue", columns: vec!["part", "sent", "due", "cost"], rows, chart: Some(chart) };
            let sheet = Sheet {
                title: "Today".into(),
                about: vec![],
                tables: vec![table],
                notes: vec![],
                currency: "EUR".to_owned(),
            };
            let page = page(&sheet, Language::English, "x");
            let drawn =
                page.split("<figure>").nth(1).and_then(|rest| rest.split("</figure>").next()).unwrap_or_default();
            let attributes = drawn.split('"').skip(1).step_by(2);
            assert!(attributes.clone().all(|value| !value.contains("NaN") && !value.contains("inf")), "{drawn}");
        }
    }
}
