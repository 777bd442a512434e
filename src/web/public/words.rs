//! What the public pages say, in Persian and in English. `{brand}` and `{date}` stand for values.

use crate::domain::message::Channel;

/// The texts of one language.
pub(super) struct Words {
    pub lang: &'static str,
    pub dir: &'static str,
    /// One of e-mail, one of SMS.
    pub stop_question: [&'static str; 2],
    pub stop_explained: &'static str,
    pub stop: &'static str,
    pub stopped_title: &'static str,
    pub stopped: [&'static str; 2],
    pub to_preferences: &'static str,
    pub preferences_title: &'static str,
    pub preferences_lead: &'static str,
    pub channel: [&'static str; 2],
    pub closed: &'static str,
    pub save: &'static str,
    pub saved: &'static str,
    pub pause_title: &'static str,
    pub pause_explained: &'static str,
    pub pause: &'static str,
    pub paused: &'static str,
    pub resume: &'static str,
    pub no_address: &'static str,
    pub orders_go_on: &'static str,
    pub not_found: [&'static str; 2],
    pub wrong_method: [&'static str; 2],
    pub unreadable: [&'static str; 2],
    pub too_large: [&'static str; 2],
    pub too_many: [&'static str; 2],
    pub unavailable: [&'static str; 2],
}

/// A text for a channel.
pub(super) const fn of(channel: Channel, texts: [&'static str; 2]) -> &'static str {
    match channel {
        Channel::Email => texts[0],
        Channel::Sms => texts[1],
    }
}

/// The texts for a language tag: Persian for its variants, else English.
pub(super) fn words(locale: &str) -> &'static Words {
    if locale.split('-').next() == Some("fa") { &PERSIAN } else { &ENGLISH }
}

static ENGLISH: Words = Words {
    lang: "en",
    dir: "ltr",
    stop_question: ["Stop e-mails from {brand}?", "Stop text messages from {brand}?"],
    stop_explained: "We will no longer send you news and offers this way.",
    stop: "Unsubscribe",
    stopped_title: "You are unsubscribed",
    stopped: [
        "{brand} will send you no more news and offers by e-mail.",
        "{brand} will send you no more news and offers by text message.",
    ],
    to_preferences: "Choose what you get",
    preferences_title: "Choose what you get",
    preferences_lead: "News and offers from {brand} reach you by:",
    channel: ["E-mail", "Text message (SMS)"],
    closed: "This cannot be switched on here. Please contact us if you would like it.",
    save: "Save",
    saved: "Your choice is saved.",
    pause_title: "Need a break?",
    pause_explained: "We can stay silent for 30 days. After that, everything is as before.",
    pause: "Pause for 30 days",
    paused: "You get no news and offers until {date}.",
    resume: "End the pause",
    no_address: "We have no address of yours for news and offers.",
    orders_go_on: "Messages about your orders are not affected.",
    not_found: ["This page does not exist", "Please open the link exactly as it stands in our message."],
    wrong_method: ["This does not work here", "Please open the link from our message again."],
    unreadable: ["We did not understand that", "Please open the link from our message again."],
    too_large: ["That is too much", "The request is larger than this page takes."],
    too_many: ["One moment, please", "Too many requests came at once. Please try again in a minute."],
    unavailable: ["One moment, please", "This does not work right now. Please try again in a few minutes."],
};

static PERSIAN: Words = Words {
    lang: "fa",
    dir: "rtl",
    stop_question: ["ایمیل‌های {brand} را دیگر نمی‌خواهید؟", "پیامک‌های {brand} را دیگر نمی‌خواهید؟"],
    stop_explained: "خبرها و پیشنهادها را دیگر از این راه برایتان نمی‌فرستیم.",
    stop: "لغو دریافت پیام‌ها",
    stopped_title: "دریافت پیام‌ها لغو شد",
    stopped: [
        "{brand} دیگر خبر و پیشنهادی با ایمیل برایتان نمی‌فرستد.",
        "{brand} دیگر خبر و پیشنهادی با پیامک برایتان نمی‌فرستد.",
    ],
    to_preferences: "تنظیم پیام‌ها",
    preferences_title: "تنظیم پیام‌ها",
    preferences_lead: "خبرها و پیشنهادهای {brand} از این راه‌ها به شما برسد:",
    channel: ["ایمیل", "پیامک"],
    closed: "این مورد از اینجا فعال نمی‌شود. اگر آن را می‌خواهید، با ما تماس بگیرید.",
    save: "ذخیره",
    saved: "انتخاب شما ذخیره شد.",
    pause_title: "مدتی پیام نمی‌خواهید؟",
    pause_explained: "می‌توانیم ۳۰ روز برایتان پیامی نفرستیم؛ پس از آن همه‌چیز مثل قبل می‌شود.",
    pause: "توقف ۳۰روزه",
    paused: "تا {date} خبر و پیشنهادی برایتان نمی‌فرستیم.",
    resume: "پایان توقف",
    no_address: "ایمیل یا شمارهٔ موبایلی از شما برای خبرها و پیشنهادها نداریم.",
    orders_go_on: "پیام‌های مربوط به سفارش‌هایتان مثل همیشه می‌رسند.",
    not_found: ["این صفحه وجود ندارد", "لطفاً پیوند را درست همان‌طور که در پیام ما آمده است باز کنید."],
    wrong_method: ["این کار از این صفحه ممکن نیست", "لطفاً پیوند پیام ما را دوباره باز کنید."],
    unreadable: ["متوجه نشدیم", "لطفاً پیوند پیام ما را دوباره باز کنید."],
    too_large: ["درخواست بیش از اندازه بزرگ است", "این درخواست بزرگ‌تر از اندازهٔ مجاز این صفحه است."],
    too_many: ["چند لحظه صبر کنید", "درخواست‌های زیادی با هم رسید. لطفاً یک دقیقهٔ دیگر دوباره امتحان کنید."],
    unavailable: ["چند لحظه صبر کنید", "این کار فعلاً ممکن نیست. لطفاً چند دقیقهٔ دیگر دوباره امتحان کنید."],
};
