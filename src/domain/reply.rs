//! What a member means by a word sent back: an answer counts only where the whole message is one of
//! the words, however it is typed.

use super::text::ascii_digits;

/// What a whole message can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// Who are you, and how do I stop this?
    Help,
}

/// The words of each wish, as they are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<(String, Wish)>);

/// Words of every shop, in the languages that operators know.
pub const STOP: &[&str] = &[
    "STOP",
    "STOPALL",
    "STOP ALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "OPT-OUT",
    "REMOVE",
    "ARRET",
    "ARRÊT",
    "لغو",
    "لغو11",
    "11",
    "إلغاء",
    "الغاء",
    "توقف",
];
/// Beside what stops.
pub const START: &[&str] = &["START", "UNSTOP", "لغو12", "12"];
/// Beside what stops.
pub const HELP: &[&str] = &["HELP", "INFO", "AIDE", "راهنما"];

/// So much of a message is looked at for them.
const LONGEST: usize = 2_000;

/// How people ask for it in their own words, as they are compared: in English and Persian, and a few of others.
#[rustfmt::skip]
const STEMS: &[&str] = &[
    " stop", " unsub", " opt out", " optout", " opting out", " opted out", " cancel", " remove", " delete my", " delete me",
    " take me off", " no more", " not interested", " leave me alone", " dont send", " do not send", " dont text", " do not text",
    " dont message", " do not message", " dont contact", " do not contact", " dont write", " do not write", " dont want", " do not want",
    " dont mail", " do not mail", " dont email", " do not email", " quit sending", " never write", " never text", " never send", " spam",
    "لغو", "نفرست", " ارسال نکن", " ارسال نشود", " ارسال نشه", " قطع ", " قطع کن", " حذف", "انصراف", " متوقف", " کنسل", "نمیخوا", " نمی خوا", " پیام نده",
    " پیامک نده", " پیام ندهید", " مزاحم", " خارج کنید", " دیگه نده", " بلاک", " تبلیغات نده", " الغاء", " ایقاف", " لا ترسل", " لا اريد", " لا ارید",
    " désabonn", " désinscri", " desabonn", " desinscri", " abmeld", " abbestell", " austrag", " darse de baja", " dar de baja", " descadastr",
];

impl Default for Words {
    fn default() -> Self {
        Self::new(STOP.iter(), START.iter(), HELP.iter())
    }
}

impl Words {
    /// The words of a shop. Where one stands in two lists, stopping is meant.
    pub fn new<T: AsRef<str>>(
        stop: impl IntoIterator<Item = T>,
        start: impl IntoIterator<Item = T>,
        help: impl IntoIterator<Item = T>,
    ) -> Self {
        let stop = stop.into_iter().map(|word| (plain(word.as_ref()), Wish::Stop));
        let start = start.into_iter().map(|word| (plain(word.as_ref()), Wish::Start));
        let help = help.into_iter().map(|word| (plain(word.as_ref()), Wish::Help));
        Self(stop.chain(start).chain(help).filter(|(word, _)| !word.is_empty()).collect())
    }

    /// What a message means, if it is nothing but a word.
    pub fn wish(&self, message: &str) -> Option<Wish> {
        // No word is this long; a long message is not worth normalising.
        if message.len() > 200 {
            return None;
        }
        let message = plain(message);
        self.0.iter().find(|(word, _)| *word == message).map(|(_, wish)| *wish)
    }

    /// Whether whoever wrote a message may believe to have stopped ours: a word that stops, or its stem,
    /// stands among others, or is mistyped.
    pub fn is_nearly_stop(&self, message: &str) -> bool {
        let message: String = message.chars().take(LONGEST).collect();
        if self.wish(&message) == Some(Wish::Stop) {
            return true;
        }
        let words = plain_words(&message);
        let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
        let stops = self.0.iter().filter(|(_, wish)| *wish == Wish::Stop).map(|(word, _)| word.as_str());
        let has_word = stops.into_iter().any(|stop| match &words[..] {
            // An order may have that number.
            words if is_number(stop) => words.len() <= 3 && words.iter().any(|word| word == stop),
            [word] if stop.chars().count() >= 4 && is_slip(word, stop) => true,
            // `end` begins too many words.
            words if stop.is_ascii() && stop.len() < 4 => words.iter().any(|word| word == stop),
            words => words.iter().any(|word| word.starts_with(stop)),
        });
        let text = format!(" {} ", words.join(" "));
        has_word || STEMS.iter().any(|stem| text.contains(stem))
    }
}

/// Letters and digits alone: without case, accents that Arabic script may carry, spaces,
/// punctuation and invisible marks; digits in ASCII; Arabic letters in their Persian forms.
fn plain(text: &str) -> String {
    ascii_digits(text).to_lowercase().chars().filter_map(letter).collect()
}

/// The same, word by word.
fn plain_words(text: &str) -> Vec<String> {
    let text = text.replace(['\'', '’', '`', '\u{200b}', '\u{200e}', '\u{200f}', '\u{feff}'], "");
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{640}');
    text.split(|c: char| !is_inside(c)).map(plain).filter(|word| !word.is_empty()).collect()
}

/// A letter as it is compared; none where it is no letter or digit.
fn letter(c: char) -> Option<char> {
    match c {
        'ي' | 'ى' => Some('ی'),
        'ك' => Some('ک'),
        'ة' | 'ۀ' => Some('ه'),
        'أ' | 'إ' | 'آ' | 'ٱ' => Some('ا'),
        'ؤ' => Some('و'),
        // Harakat, the lengthening stroke.
        '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{640}' => None,
        // Forms for one place in a word, as some gateways write them.
        'ﻟ' | 'ﻝ' | 'ﻞ' | 'ﻠ' => Some('ل'),
        'ﻐ' | 'ﻏ' | 'ﻎ' | 'ﻍ' => Some('غ'),
        'ﻮ' | 'ﻭ' => Some('و'),
        c => c.is_alphanumeric().then_some(c),
    }
}

/// Whether a word is another with one letter more, less or wrong, or two of them swapped.
fn is_slip(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (a, b) = (&one[same..], &other[same..]);
    match (a, b) {
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([_, a @ ..], b) | (b, [_, a @ ..]) if a == b => true,
        ([x, y, a @ ..], [z, w, b @ ..]) => x == w && y == z && a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_whole_message_is_a_wish_however_it_is_typed() {
        let words = Words::default();
        for text in [
            "STOP",
            "stop",
            " Stop. ",
            "\"STOP!\"",
            "s t o p",
            "STOP ALL",
            "stopall",
            "Unsubscribe",
            "opt-out",
            "OPT OUT",
            "Arrêt",
            "arret",
            "لغو",
            "لغو۱۱",
            "لغو 11",
            "لغو١١",
            "لغو\u{200c}۱۱",
            "لغـو۱۱",
            "۱۱",
            "11",
            "١١",
            "ﻟﻐﻮ11",
            "(لغو ۱۱)",
            "الغاء",
            "إلغاء",
            "QUIT\n",
            "\u{feff}stop",
        ] {
            assert_eq!(words.wish(text), Some(Wish::Stop), "{text}");
        }
        for text in ["START", "unstop", "۱۲", "12", "لغو۱۲"] {
            assert_eq!(words.wish(text), Some(Wish::Start), "{text}");
        }
        for text in ["HELP", "help?", "راهنما"] {
            assert_eq!(words.wish(text), Some(Wish::Help), "{text}");
        }
        for text in [
            "nonstop",
            "please don't stop",
            "don't stop",
            "stop it",
            "I want to stop",
            "non stop",
            "START now",
            "111",
            "1 1 2",
            "لغو نکنید",
            "این را لغو کنید",
            "سفارش ۱۱",
            "",
            "?",
            "no",
            "بله",
            "helpful",
            "end of day",
        ] {
            assert_eq!(words.wish(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_nearly_a_stop_is_noticed() {
        let words = Words::default();
        for text in [
            "STOP please",
            "please stop",
            "Stop!!! I said stop",
            "stop sending me this",
            "stopp",
            "stpo",
            "sotp",
            "unsuscribe",
            "please unsubscribe me",
            "I want to opt out",
            "opt-out please",
            "remove me from the list",
            "Cancel these messages",
            "don't send me these",
            "DO NOT TEXT ME",
            "no more sms",
            "لطفا لغو کنید",
            "لغو کن",
            "لغوش کنید",
            "لغو لطفاً",
            "لطفاً لغـو",
            "دیگه نفرستید",
            "دیگر پیام نفرست",
            "نمی‌خوام",
            "نمی خواهم پیامک بدهید",
            "لطفا حذف کنید",
            "۱۱ لطفا",
            "قطع کنید",
            "إلغاء من فضلك",
            "STOP",
            "لغو۱۱",
            "لطفا ارسال نکنید",
        ] {
            assert!(words.is_nearly_stop(text), "{text}");
        }
        for text in [
            "",
            "hello",
            "thank you!",
            "when will order 11 be at home?",
            "my friend says endless thanks",
            "سلام",
            "ممنون از شما",
            "سفارش ۱۱ کی می‌رسد؟",
            "step in",
            "nonstop fun",
        ] {
            assert!(!words.is_nearly_stop(text), "{text}");
        }
        let own = Words::new(["basta"], ["otra"], ["ayuda"]);
        assert!(
            own.is_nearly_stop("ya basta por favor") && own.is_nearly_stop("bsata") && !own.is_nearly_stop("gracias")
        );
    }

    #[test]
    fn the_words_are_the_shops_to_choose() {
        let words = Words::new(["basta"], ["otra vez", "basta"], ["ayuda"]);
        assert_eq!(words.wish("¡Basta!"), Some(Wish::Stop));
        assert_eq!(words.wish("OTRA VEZ"), Some(Wish::Start));
        assert_eq!(words.wish("ayuda"), Some(Wish::Help));
        assert_eq!(words.wish("stop"), None);
    }

    proptest! {
        #[test]
        fn more_letters_are_another_message(before in "\\p{L}{0,6}", word in 0..STOP.len(), after in "\\p{L}{1,6}") {
            let words = Words::default();
            let text = format!("{before}{}{after}", STOP[word]);
            // Where it is another whole word, it is in a list.
            let listed = STOP.iter().chain(START).chain(HELP).any(|listed| plain(listed) == plain(&text));
            prop_assert_eq!(words.wish(&text).is_some(), listed);
        }

        #[test]
        fn signs_around_a_word_change_nothing(
            before in "[ .!?,()«»\"'\u{200c}\u{200f}-]{0,5}", word in 0..STOP.len(), after in "[ .!?،\n\u{200e}]{0,5}",
        ) {
            let text = format!("{before}{}{after}", STOP[word]);
            prop_assert_eq!(Words::default().wish(&text), Some(Wish::Stop));
        }

        #[test]
        fn any_message_is_read(text in "\\PC*") {
            let _ = Words::default().wish(&text);
        }
    }
}
