//! The words of reports in English and Persian, and how each language writes numbers, money and dates.

use chrono::NaiveDate;

use super::sheet::{Cell, Text};
use crate::domain::calendar::{Calendar, MonthDay, in_calendar};
use crate::domain::money::{change, rounded};
use crate::domain::number::grouped;
use crate::domain::period::{Periods, Unit};
use crate::domain::text::persian_digits;
use crate::domain::words::words;

words! {
    /// In which a report is written.
    Language { English = "en", Persian = "fa" }
}

/// A part of a text: words, or a value that stands between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Piece<'a> {
    Words(&'static str),
    Value(&'a Cell),
}

impl Language {
    /// Of a locale: English where it is not Persian.
    pub fn of(locale: &str) -> Self {
        let language = locale.split('-').next().unwrap_or_default();
        if language.eq_ignore_ascii_case("fa") { Self::Persian } else { Self::English }
    }

    pub const fn direction(self) -> &'static str {
        match self {
            Self::English => "ltr",
            Self::Persian => "rtl",
        }
    }

    /// Words of ours; in English where nobody has translated them.
    pub fn words(self, english: &'static str) -> &'static str {
        match self {
            Self::English => english,
            Self::Persian => persian(english).unwrap_or(english),
        }
    }

    /// The name of a column: some are numbers.
    pub fn column(self, name: &'static str) -> String {
        if name.bytes().all(|b| b.is_ascii_digit()) { self.number(name) } else { self.words(name).to_owned() }
    }

    /// A currency as people call it.
    pub fn currency(self, code: &str) -> &str {
        match (self, code) {
            (Self::Persian, "IRR") => "ریال",
            (Self::Persian, "EUR") => "یورو",
            (Self::Persian, "USD") => "دلار",
            (Self::Persian, "AED") => "درهم",
            (Self::Persian, "TRY") => "لیر",
            (Self::Persian, "GBP") => "پوند",
            (Self::Persian, "AFN") => "افغانی",
            _ => code,
        }
    }

    /// A text in its parts, in the order of the language.
    pub fn pieces(self, text: &Text) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut rest = self.words(text.english);
        while let Some((before, (place, after))) = rest.split_once('{').and_then(|(before, after)| {
            let (place, after) = after.split_once('}')?;
            Some((before, (place.parse::<usize>().ok()?, after)))
        }) {
            pieces.push(Piece::Words(before));
            pieces.extend(text.values.get(place).map(Piece::Value));
            rest = after;
        }
        pieces.push(Piece::Words(rest));
        pieces
    }

    /// A text as one.
    pub fn text(self, text: &Text, currency: &str) -> String {
        let pieces = self.pieces(text).into_iter().map(|piece| match piece {
            Piece::Words(words) => words.to_owned(),
            Piece::Value(cell) => self.cell(cell, currency),
        });
        pieces.collect()
    }

    /// A value as people read it.
    pub fn cell(self, cell: &Cell, currency: &str) -> String {
        match cell {
            Cell::Name(text) => text.clone(),
            Cell::Word(text) => self.text(text, currency),
            Cell::Count(count) if *count < 0 => {
                self.number(&format!("-{}", grouped(&count.unsigned_abs().to_string())))
            }
            Cell::Count(count) => self.number(&grouped(&count.to_string())),
            Cell::Money(amount) => self.number(&rounded(*amount, currency)),
            Cell::Amount(amount) => {
                format!("{} {}", self.number(&rounded(*amount, currency)), self.currency(currency))
            }
            Cell::Change(amount) => self.number(&change(*amount, currency)),
            Cell::Share(share) if *share != 0.0 && share.abs() < 0.01 => {
                self.per_cent(&format!("{:.2}", share * 100.0))
            }
            Cell::Share(share) => self.per_cent(&format!("{:.1}", share * 100.0)),
            Cell::Chosen(share) => {
                self.per_cent(format!("{:.2}", share * 100.0).trim_end_matches('0').trim_end_matches('.'))
            }
            Cell::Number(number) => {
                let plain = format!("{:.1}", number.abs());
                let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
                let sign = if *number < 0.0 { "-" } else { "" };
                self.number(&format!("{sign}{}.{fraction}", grouped(whole)))
            }
            Cell::Length(number) => self.number(&number.to_string()),
            Cell::P(p) if *p < LEAST_P / 2.0 => self.text(&Text::new("below {0}", [Cell::P(LEAST_P)]), currency),
            Cell::P(p) => self.number(&format!("{p:.4}")),
            Cell::Date(date) => self.date(*date),
            Cell::Period(periods, start) => self.period(*periods, *start),
            Cell::Nothing => match self {
                Self::English => "-".to_owned(),
                Self::Persian => "–".to_owned(),
            },
        }
    }

    /// A number that is written in English. A sign stands before it whichever way the text around it runs (CLDR).
    fn number(self, english: &str) -> String {
        match self {
            Self::English => english.to_owned(),
            Self::Persian => {
                let signed = english.replace(',', "٬").replace('.', "٫").replace('-', "\u{200e}−");
                persian_digits(&signed.replace('+', "\u{200e}+"))
            }
        }
    }

    /// In Persian the sign stands left of the digits. It does so by itself only where letters come before it, so the
    /// mark (U+061C) says it also where a cell or a label begins with the number.
    fn per_cent(self, number: &str) -> String {
        match self {
            Self::English => format!("{number} %"),
            Self::Persian => format!("\u{61c}{}٪", self.number(number)),
        }
    }

    /// In Persian by the Persian calendar.
    fn date(self, date: NaiveDate) -> String {
        match self {
            Self::English => date.to_string(),
            Self::Persian => {
                let (year, MonthDay { month, day }) = in_calendar(date, Calendar::Persian);
                persian_digits(&format!("{day} {} {year}", month_name(Calendar::Persian, month)))
            }
        }
    }

    /// By the calendar of the periods.
    fn period(self, periods: Periods, start: NaiveDate) -> String {
        if self == Self::English {
            return periods.name(start);
        }
        let (year, MonthDay { month, day }) = in_calendar(start, periods.calendar);
        let quarter = usize::from(month.saturating_sub(1) / 3);
        persian_digits(&match (periods.unit, periods.calendar) {
            (Unit::Day | Unit::Week, _) => format!("{year}/{month:02}/{day:02}"),
            (Unit::Month, calendar) => format!("{} {year}", month_name(calendar, month)),
            // The quarters of this calendar are the seasons.
            (Unit::Quarter, Calendar::Persian) => format!("{} {year}", SEASONS.get(quarter).unwrap_or(&"")),
            (Unit::Quarter, Calendar::Gregorian) => {
                format!("سه‌ماههٔ {} {year}", ORDINALS.get(quarter).unwrap_or(&""))
            }
            (Unit::Year, _) => year.to_string(),
        })
    }
}

/// The least probability that four decimals can say.
const LEAST_P: f64 = 0.000_1;

const SEASONS: [&str; 4] = ["بهار", "تابستان", "پاییز", "زمستان"];
const ORDINALS: [&str; 4] = ["نخست", "دوم", "سوم", "چهارم"];

fn month_name(calendar: Calendar, month: u8) -> &'static str {
    const PERSIAN: [&str; 12] =
        ["فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور", "مهر", "آبان", "آذر", "دی", "بهمن", "اسفند"];
    const GREGORIAN: [&str; 12] =
        ["ژانویه", "فوریه", "مارس", "آوریل", "مه", "ژوئن", "ژوئیه", "اوت", "سپتامبر", "اکتبر", "نوامبر", "دسامبر"];
    let names = if calendar == Calendar::Persian { PERSIAN } else { GREGORIAN };
    names.get(usize::from(month.saturating_sub(1))).copied().unwrap_or_default()
}

/// The Persian of words of ours.
pub fn persian(english: &str) -> Option<&'static str> {
    PERSIAN.iter().find(|(words, _)| *words == english).map(|(_, persian)| *persian)
}

#[rustfmt::skip]
const PERSIAN: &[(&str, &str)] = &[
    // What stands on every page.
    ("Amounts are in {0}.", "مبلغ‌ها به {0} است."),
    ("Only the first {0} rows are drawn.", "تنها {0} سطر نخست رسم شده است."),
    ("There is nothing to show yet.", "هنوز چیزی برای نشان دادن نیست."),
    ("A bar for each row: {0}. The numbers are in the table below.",
        "برای هر سطر یک میله: {0}. عددها در جدول زیر آمده است."),
    ("A line through the rows, from left to right: {0}. The numbers are in the table below.",
        "خطی که از چپ به راست از سطرها می‌گذرد: {0}. عددها در جدول زیر آمده است."),
    ("A field for each number, darker for more. The numbers are in the table below, too.",
        "برای هر عدد یک خانه؛ هرچه بیشتر، پررنگ‌تر. عددها در جدول زیر هم آمده است."),
    ("For each row the estimate as a dot, its interval as a bar, and a dashed line where there is no effect. The numbers are in the table below.",
        "برای هر سطر برآورد به شکل نقطه و بازهٔ اطمینان ۹۵٪ آن به شکل خط، و خط‌چین در جایی که اثری نیست. عددها در جدول زیر آمده است."),
    ("The dot is the estimate, the bar its interval.", "نقطه برآورد است و خط، بازهٔ اطمینان ۹۵٪ آن."),
    ("no effect", "بدون اثر"),
    ("{0}: {1}", "{0} — {1}"),
    (", ", "، "),

    // Rows that are no name of the shop's.
    ("all", "همه"),
    ("none", "هیچ‌کدام"),
    ("other", "سایر"),
    ("fa", "فارسی"),
    ("en", "انگلیسی"),
    ("below {0}", "کمتر از {0}"),
    ("customers", "مشتریان"),
    ("expected to buy again", "مشتریانی که انتظار می‌رود باز بخرند"),
    ("expected revenue", "درآمد مورد انتظار"),
    ("no order yet", "هنوز بدون سفارش"),
    ("last order {0}", "امتیاز تازگی {0}"),
    ("email", "ایمیل"),
    ("sms", "پیامک"),
    ("holdout", "گروه شاهد"),
    ("brand_holdout", "گروه شاهد برند"),
    ("treated", "گروه دریافت‌کننده"),

    // What became of messages.
    ("Today", "امروز"),
    ("All campaigns", "همهٔ کمپین‌ها"),
    ("Campaign {0}", "کمپین {0}"),
    ("Messages that fell due from {0} to {1}, and all that was heard or bought because of them.",
        "پیام‌هایی که موعدشان از {0} تا {1} بوده، و هر بازخورد و خریدی که از آن‌ها به دست آمده است."),
    ("Messages that fell due on {0}, and all that was heard or bought because of them.",
        "پیام‌هایی که موعدشان {0} بوده، و هر بازخورد و خریدی که از آن‌ها به دست آمده است."),
    ("what became of them", "سرنوشت پیام‌ها"),
    ("not sent, and why", "ارسال‌نشده‌ها و دلیل هر کدام"),
    ("Credited is what was bought after a click or with a gift's code (last touch); what messages caused is in `report effect`.",
        "«منتسب» خریدی است که پس از کلیک یا با کد هدیه انجام شده (آخرین تعامل پیش از خرید)؛ آنچه خود پیام‌ها باعثش بوده‌اند در گزارش اثر (report effect) آمده است."),
    ("{0} messages were opened by machines, which is not counted as opened.",
        "{0} پیام را ربات‌ها و سامانه‌های خودکار باز کرده‌اند؛ این‌ها در شمار بازشده‌ها نیامده است."),
    ("campaign", "کمپین"),
    ("step", "گام"),
    ("arm", "گروه"),
    ("channel", "کانال"),
    ("locale", "زبان"),
    ("domain", "سرویس ایمیل"),
    ("period", "دوره"),
    ("due", "موعدرسیده"),
    ("waiting", "در انتظار"),
    ("not sent", "ارسال‌نشده"),
    ("sent", "ارسال‌شده"),
    ("delivered", "تحویل‌شده"),
    ("bounced", "برگشت‌خورده"),
    ("complained", "گزارش هرزنامه"),
    ("opened", "بازشده"),
    ("clicked", "کلیک‌شده"),
    ("unsubscribed", "لغو اشتراک"),
    ("codes used", "کدهای استفاده‌شده"),
    ("orders credited", "سفارش‌های منتسب"),
    ("revenue credited", "درآمد منتسب"),
    ("cost", "هزینه"),
    ("reason", "دلیل"),
    ("messages", "پیام‌ها"),

    // How well mail gets through.
    ("How well mail gets through", "ایمیل‌ها چقدر به مقصد می‌رسند"),
    ("by receiver", "به تفکیک سرویس ایمیل"),
    ("bounce rate", "نرخ برگشت ایمیل"),
    ("complaint rate", "نرخ گزارش هرزنامه"),
    ("unsubscribe rate", "نرخ لغو اشتراک"),
    ("verdict", "ارزیابی"),
    ("too few", "دادهٔ ناکافی"),
    ("fine", "خوب"),
    ("high", "زیاد"),
    ("too high", "بیش از حد مجاز"),
    ("Gmail and Yahoo want complaints below 0.1 % and refuse from 0.3 % on; Amazon SES looks into bounces from 5 % on and stops at 10 %.",
        "جی‌میل و یاهو گزارش هرزنامه را کمتر از ۰٫۱٪ می‌خواهند و از ۰٫۳٪ به بعد نمی‌پذیرند؛ آمازون SES از نرخ برگشت ۵٪ بررسی می‌کند و در ۱۰٪ ارسال را متوقف می‌کند."),

    // Why messages were not sent.
    ("member_deleted", "عضو حذف شده است"),
    ("outside_audience", "خارج از مخاطبان کمپین"),
    ("goal_reached", "به هدف رسیده بود"),
    ("too_late", "دیر شده بود"),
    ("already_greeted", "پیش‌تر تبریک گرفته بود"),
    ("no_address", "ایمیل یا شماره ندارد"),
    ("no_consent", "رضایت نداده است"),
    ("suppressed", "در فهرست منع ارسال"),
    ("same_address", "ایمیل یا شمارهٔ مشترک با عضوی دیگر"),
    ("held_out", "عضو گروه شاهد"),
    ("rest_day", "روز بدون ارسال"),
    ("frequency_cap", "سقف تعداد پیام"),
    ("budget", "پایان بودجه"),
    ("gift_unavailable", "هدیه موجود نبود"),
    ("order_cancelled", "سفارش لغو یا مرجوع شد"),
    ("collapsed", "یکی‌شده با سفارشی دیگر"),
    ("campaign_ended", "کمپین پایان یافته بود"),
    ("restored", "بازیابی از نسخهٔ پشتیبان"),
    ("by_hand", "لغو دستی"),
    ("render_failed", "متن پیام ساخته نشد"),
    ("unbuildable", "پیام قابل ساخت نبود"),
    ("bad_recipient", "گیرندهٔ ناشناخته"),
    ("refused", "سرور گیرنده نپذیرفت"),
    ("message_refused", "محتوا یا اندازهٔ پیام پذیرفته نشد"),
    ("our_fault", "خطا از سمت ما"),
    ("retries_exhausted", "تلاش‌های مجدد بی‌نتیجه ماند"),

    // Who buys, comes back and stays.
    ("How loyal customers are", "وفاداری مشتریان"),
    ("From {0} to {1}.", "از {0} تا {1}."),
    ("A customer is who has a valid order in the {0} days before.",
        "مشتری در هر تاریخ کسی است که در {0} روز پیش از آن سفارش معتبر داشته باشد."),
    ("{0} orders in other currencies are in no amount.", "{0} سفارش به ارزهای دیگر در مبلغ‌ها حساب نشده است."),
    ("part", "بخش"),
    ("members", "اعضا"),
    ("customers before", "مشتریان ابتدای دوره"),
    ("customers after", "مشتریان پایان دوره"),
    ("new", "مشتریان تازه"),
    ("retention", "نرخ ماندگاری"),
    ("buyers", "خریداران"),
    ("repeat rate", "نرخ خرید دوباره"),
    ("orders", "سفارش‌ها"),
    ("orders per buyer", "سفارش به ازای هر خریدار"),
    ("revenue", "درآمد"),
    ("average order", "میانگین سفارش"),
    ("days between orders", "فاصلهٔ سفارش‌ها (روز)"),
    ("points", "امتیاز باشگاه"),

    // Cohorts.
    ("What comes back of each cohort", "بازگشت مشتریان به تفکیک هم‌دوره‌ها (کوهورت)"),
    ("Members by the {0} of their first order, and what they did so many of them later.",
        "اعضا بر پایهٔ {0} نخستین سفارششان؛ شمارهٔ هر ستون یعنی چند {0} پس از آن."),
    ("day", "روز"),
    ("week", "هفته"),
    ("month", "ماه"),
    ("quarter", "فصل"),
    ("year", "سال"),
    ("first order in", "نخستین سفارش در"),
    ("share that bought", "سهم خریداران"),

    // Scores.
    ("How recently and how often members bought", "تازگی و تکرار خرید اعضا"),
    ("Scores at {0}, 5 is best; who moved since {1}.", "امتیازها در {0} (۵ بهترین است) و جابه‌جایی‌ها از {1} تا آن روز."),
    ("Scores are fifths of all members with orders, as cut at {0}.",
        "امتیازها پنجک‌های همهٔ اعضای دارای سفارش است، با مرزهایی که در {0} تعیین شده."),
    ("members by score", "اعضا بر پایهٔ امتیاز"),
    ("recency", "امتیاز تازگی"),
    ("bought 1 (least)", "امتیاز تکرار ۱ (کمترین)"),
    ("bought 2", "امتیاز تکرار ۲"),
    ("bought 3", "امتیاز تکرار ۳"),
    ("bought 4", "امتیاز تکرار ۴"),
    ("bought 5 (most)", "امتیاز تکرار ۵ (بیشترین)"),
    ("moves of recency", "جابه‌جایی امتیاز تازگی"),
    ("from score", "از امتیاز"),
    ("to score", "به امتیاز"),

    // What customers will bring.
    ("What customers are expected to bring", "درآمد مورد انتظار از مشتریان"),
    ("In the 12 months from {0} on.", "در ۱۲ ماه از {0} به بعد."),
    ("what", "شاخص"),
    ("number", "مقدار"),
    ("tenths of the customers, the best first", "دهک‌های مشتریان؛ دهک ۱ ارزشمندترین"),
    ("tenth", "دهک"),
    ("share", "سهم"),
    ("least a customer", "کمترین مقدار در این دهک"),

    // What was earned.
    ("What {0} earned", "اثر کمپین {0}"),
    ("What all marketing earned", "اثر همهٔ بازاریابی"),
    ("Marketing has no experiment: nobody is held out, so nothing says what would have been bought without it. Write `holdout: 5%` under `brand` in the settings.",
        "برای کل بازاریابی آزمایشی تعریف نشده است: کسی در گروه شاهد نیست و معلوم نیست بدون آن، چه خریدی انجام می‌شد. در تنظیمات، زیر brand بنویسید: holdout: 5%"),
    ("{0} has no experiment: nobody is held out, so nothing says what would have been bought without it. Write `experiment: { holdout: 10% }` in its file.",
        "برای کمپین {0} آزمایشی تعریف نشده است: کسی در گروه شاهد نیست و معلوم نیست بدون آن، چه خریدی انجام می‌شد. در فایل کمپین بنویسید: experiment: { holdout: 10% }"),
    ("Members whose first message was due from {4} to {0}, and what they bought within {1} days, as known at {2}; run {3}.",
        "اعضایی که موعد نخستین پیامشان از {4} تا {0} بوده، و آنچه در {1} روز پس از آن خریده‌اند، بنا بر داده‌های {2}؛ دور {3}."),
    ("Members whose first message was due by {0}, and what they bought within {1} days, as known at {2}; run {3}.",
        "اعضایی که موعد نخستین پیامشان تا {0} بوده، و آنچه در {1} روز پس از آن خریده‌اند، بنا بر داده‌های {2}؛ دور {3}."),
    ("{0} against {1}", "{0} در برابر {1}"),
    ("without it", "نسبت به گروه شاهد"),
    ("without any marketing", "نسبت به حالت بدون بازاریابی"),
    ("with `{0}`", "نسبت به {0}"),
    ("Too few to tell: each group needs 100 members and 10 buyers; about {0} more members in all, if they buy as these did.",
        "داده هنوز برای نتیجه‌گیری کافی نیست: هر گروه دست‌کم ۱۰۰ عضو و ۱۰ خریدار می‌خواهد؛ اگر خریدشان مانند همین اعضا باشد، روی هم نزدیک به {0} عضو دیگر لازم است."),
    ("Too few to tell: each group needs 100 members and 10 buyers, and one has no buyers yet.",
        "داده هنوز برای نتیجه‌گیری کافی نیست: هر گروه دست‌کم ۱۰۰ عضو و ۱۰ خریدار می‌خواهد و یکی از گروه‌ها هنوز خریداری ندارد."),
    ("It works: a member brings between {0} and {1} more than {2}. That holds however often one looks.",
        "مؤثر است: هر عضو {2} بین {0} و {1} بیشتر درآمد می‌آورد. این نتیجه هر چند بار هم که گزارش را بررسی کنید پابرجاست."),
    ("It harms: a member brings between {0} and {1} less than {2}. That holds however often one looks.",
        "زیان‌بار است: هر عضو {2} بین {0} و {1} کمتر درآمد می‌آورد. این نتیجه هر چند بار هم که گزارش را بررسی کنید پابرجاست."),
    ("Promising, but the groups are not as large as their shares say, by more than chance: find out why before believing it.",
        "امیدبخش است، اما اندازهٔ گروه‌ها بیش از حد تصادف با سهم تعیین‌شده‌شان فرق دارد: پیش از پذیرفتن نتیجه، علت را پیدا کنید."),
    ("Promising: a member brings between {0} and {1} more than {2}, for who looks once. Who looks every day should wait.",
        "امیدبخش است: اگر نتیجه را فقط یک بار بررسی کنید، هر عضو {2} بین {0} و {1} بیشتر درآمد می‌آورد. اگر هر روز بررسی می‌کنید، هنوز نتیجه نگیرید."),
    ("Worrying: a member brings between {0} and {1} less than {2}, for who looks once. Who looks every day should wait.",
        "نگران‌کننده است: اگر نتیجه را فقط یک بار بررسی کنید، هر عضو {2} بین {0} و {1} کمتر درآمد می‌آورد. اگر هر روز بررسی می‌کنید، هنوز نتیجه نگیرید."),
    ("No difference seen: what a member brings more than {2} lies between {0} and {1}. So many members would show a difference of {3} in four of five cases.",
        "تفاوتی دیده نشد: تفاوت درآمد هر عضو {2} بین {0} و {1} است. با این تعداد عضو، تفاوتی به اندازهٔ {3} در چهار آزمایش از پنج آزمایش دیده می‌شد."),
    ("No difference: all members brought the same.", "تفاوتی نیست: همهٔ اعضا یکسان خرید کرده‌اند."),
    ("what it caused, a member", "اثر به ازای هر عضو"),
    ("comparison", "مقایسه"),
    ("works", "مؤثر"),
    ("harms", "زیان‌بار"),
    ("promising", "امیدبخش"),
    ("worrying", "نگران‌کننده"),
    ("no difference", "بدون تفاوت"),
    ("caused", "اثر"),
    ("at least (95 %)", "حد پایین (۹۵٪)"),
    ("at most (95 %)", "حد بالا (۹۵٪)"),
    ("p", "مقدار p"),
    ("p, corrected", "مقدار p تصحیح‌شده"),
    ("at least (looking daily)", "حد پایین (با پایش روزانه)"),
    ("at most (looking daily)", "حد بالا (با پایش روزانه)"),
    ("would be found", "کوچک‌ترین اثر قابل تشخیص"),
    ("the arms", "گروه‌ها"),
    ("net a member", "خالص هر عضو"),
    ("not yet over", "مهلت خریدشان باقی است"),
    ("Warning: the arms do not have the sizes that they should have; something sorts members.",
        "هشدار: گروه‌ها اندازه‌ای را که باید ندارند؛ عاملی ترکیب گروه‌ها را به هم زده است."),
    ("Warning: the campaign's audience became another one on the way; `--from` takes the members since.",
        "هشدار: مخاطبان کمپین در این میان تغییر کرده‌اند؛ با ‎--from‎ می‌توان فقط اعضای پس از تغییر را دید."),
    ("Warning: a tenth of the members or more were in another campaign's experiment at the same time.",
        "هشدار: دست‌کم یک‌دهم اعضا هم‌زمان در آزمایش کمپین دیگری هم بوده‌اند."),
    ("Not in here: {0} other runs, with other shares; `--run N` shows one.",
        "{0} دور دیگر با سهم‌های دیگر در این گزارش نیست؛ با ‎--run N‎ می‌توان هر کدام را دید."),

    // What an experiment would take.
    ("What an experiment with {0} takes", "آزمایش کمپین {0} به چند عضو نیاز دارد؟"),
    ("Nobody is in the audience of {0}, so nothing can be expected.",
        "کسی در میان مخاطبان {0} نیست، پس چیزی نمی‌توان پیش‌بینی کرد."),
    ("{0} members are in the audience of {1} now. In the last {2} days {3} of them bought: {4} a member (deviation {5}). {6} come to it in the next {7} days.",
        "اکنون {0} عضو در میان مخاطبان {1} هستند. در {2} روز گذشته {3} نفرشان خرید کرده‌اند: {4} به ازای هر عضو (انحراف معیار {5}). در {7} روز آینده نوبت {6} عضو می‌رسد."),
    ("what it takes to find an effect", "آنچه برای یافتن اثر لازم است"),
    ("effect", "اندازهٔ اثر"),
    ("more a member", "افزایش هر عضو"),
    ("members it takes", "اعضای لازم"),
    ("weeks until they came", "هفته تا رسیدن این تعداد"),
    ("With {0} held out, so that four of five such experiments would find it. Whoever looks every day needs more.",
        "این تعداد با فرض {0} اعضا در گروه شاهد حساب شده است، به‌گونه‌ای که از هر پنج آزمایش، چهارتا این اثر را نشان دهد. اگر نتیجه را هر روز بررسی می‌کنید، عضو بیشتری لازم است."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn places(text: &str) -> BTreeSet<u32> {
        let digits = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')?.0.parse().ok());
        digits.collect()
    }

    #[test]
    fn each_text_is_there_once_and_has_the_same_places() {
        let mut known = BTreeSet::new();
        for (english, persian) in PERSIAN {
            assert!(known.insert(english), "{english}");
            assert_eq!(places(english), places(persian), "{english}");
            // Letters and digits that keyboards for Arabic and English write.
            assert!(!persian.contains(['ي', 'ك', '٠', '١', '%']) || persian.contains("holdout: "), "{persian}");
        }
    }

    #[test]
    fn values_are_written_as_each_language_does() {
        let check = |cell: Cell, english: &str, persian: &str| {
            assert_eq!(Language::English.cell(&cell, "IRR"), english);
            assert_eq!(Language::Persian.cell(&cell, "IRR"), persian);
        };
        let day: NaiveDate = "2026-04-22".parse().unwrap();
        let period = |unit, calendar| Cell::Period(Periods { unit, calendar, week_begins: chrono::Weekday::Sat }, day);
        check(Cell::Count(1_250), "1,250", "۱٬۲۵۰");
        check(Cell::Count(-1_250), "-1,250", "\u{200e}−۱٬۲۵۰");
        check(Cell::Money(89.0), "89", "۸۹");
        check(Cell::Amount(1_250_000.0), "1,250,000 IRR", "۱٬۲۵۰٬۰۰۰ ریال");
        check(Cell::Change(5_000.0), "+5,000", "\u{200e}+۵٬۰۰۰");
        check(Cell::Change(0.0), "0", "۰");
        check(Cell::Share(0.125), "12.5 %", "\u{61c}۱۲٫۵٪");
        check(Cell::Share(0.001), "0.10 %", "\u{61c}۰٫۱۰٪");
        check(Cell::Share(0.5), "50.0 %", "\u{61c}۵۰٫۰٪");
        check(Cell::Chosen(0.5), "50 %", "\u{61c}۵۰٪");
        check(Cell::Chosen(0.05), "5 %", "\u{61c}۵٪");
        check(Cell::Chosen(0.025), "2.5 %", "\u{61c}۲٫۵٪");
        check(Cell::Chosen(0.0), "0 %", "\u{61c}۰٪");
        check(Cell::Chosen(1.0), "100 %", "\u{61c}۱۰۰٪");
        check(Cell::Number(1.25), "1.2", "۱٫۲");
        check(Cell::Number(-6_446.81), "-6,446.8", "\u{200e}−۶٬۴۴۶٫۸");
        check(Cell::Length(14.0), "14", "۱۴");
        check(Cell::Length(0.5), "0.5", "۰٫۵");
        check(Cell::P(0.01234), "0.0123", "۰٫۰۱۲۳");
        check(Cell::P(0.000_051), "0.0001", "۰٫۰۰۰۱");
        check(Cell::P(0.000_049), "below 0.0001", "کمتر از ۰٫۰۰۰۱");
        check(Cell::P(0.0), "below 0.0001", "کمتر از ۰٫۰۰۰۱");
        check(Cell::Date(day), "2026-04-22", "۲ اردیبهشت ۱۴۰۵");
        check(period(Unit::Week, Calendar::Persian), "1405-02-02", "۱۴۰۵/۰۲/۰۲");
        check(period(Unit::Month, Calendar::Persian), "1405-02", "اردیبهشت ۱۴۰۵");
        check(period(Unit::Month, Calendar::Gregorian), "2026-04", "آوریل ۲۰۲۶");
        check(period(Unit::Quarter, Calendar::Persian), "1405 Q1", "بهار ۱۴۰۵");
        check(period(Unit::Quarter, Calendar::Gregorian), "2026 Q2", "سه‌ماههٔ دوم ۲۰۲۶");
        check(period(Unit::Year, Calendar::Persian), "1405", "۱۴۰۵");
        check(Cell::Nothing, "-", "–");
        check(Cell::Name("a-1".to_owned()), "a-1", "a-1");
        check(Cell::Word(Text::new("last order {0}", [Cell::Count(5)])), "last order 5", "امتیاز تازگی ۵");
        check(Cell::language("fa"), "fa", "فارسی");
        check(Cell::language("de"), "de", "de");
    }

    #[test]
    fn only_persian_is_persian() {
        for (locale, language) in [("fa", "fa"), ("fa-IR", "fa"), ("FA", "fa"), ("fat", "en"), ("de", "en"), ("", "en")]
        {
            assert_eq!(Language::of(locale).as_str(), language, "{locale}");
        }
    }
}
