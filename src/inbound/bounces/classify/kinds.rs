//! What kind of mail it is, before anybody asks why: a notice of a failure, a warning that delivery
//! is late, an automatic reply, or none of these.

use super::addresses::{address, is_role};
use super::mail::Mail;
use super::phrases::says;

/// Whether a program that delivers mail wrote it.
pub(super) fn is_from_daemon(mail: &Mail) -> bool {
    #[rustfmt::skip]
    const NAMES: &[&str] = &[
        "mailer-daemon", "mailer_daemon", "mailerdaemon", "mail-daemon", "maildaemon", "mdaemon",
        "mail delivery", "mail delivery subsystem", "delivery subsystem", "delivery system", "mail system",
        "mailsystem", "postmaster", "post master", "post_master", "postoffice", "post office", "microsoft exchange",
        "microsoftexchange", "system administrator", "systemadministrator", "system attendant",
        "mail administrator", "mail router", "internet mail", "mail delivery service", "daemon", "uucp",
        "nondelivery", "non-delivery", "bounce", "smtp", "mta", "listserv", "majordomo", "systemadministrator",
        "mail-deliver", "системный администратор", "почтовая служба",
    ];
    let from = mail.words_of("from");
    let return_path = mail.header("return-path").trim();
    let is_null = return_path == "<>" || return_path.eq_ignore_ascii_case("<mailer-daemon>") || from.contains("<>");
    is_null || NAMES.iter().any(|name| says(&from, name))
}

/// Whether its return path is somebody's: a server expects no answer (RFC 5321).
pub(super) fn is_from_person(mail: &Mail) -> bool {
    address(mail.header("return-path")).is_some_and(|path| !is_role(&path))
}

/// Phrases of subjects: a mail could not be delivered.
#[rustfmt::skip]
const FAILED: &[&str] = &[
    "undeliver", "undelivr", "not deliver", "non deliver", "non-deliver", "nondeliver", "delivery fail",
    "delivery has failed", "delivery error", "delivery problem", "delivery notification", "delivery status",
    "delivery report", "delivery to", "deliver fail", "deliver mail", "failure notice", "failure notification", "mail failed", "returning to sender", "processing error",
    "failure delivery", "delivery incomplete", "mail failure", "failed mail", "failed to deliver",
    "failed delivery", "failed: ", "mail delivery", "mail error", "mail system error", "mailsystem",
    "message delivery", "message status", "could not be delivered", "couldn't be delivered", "couldn't deliver",
    "could not deliver", "wasn't delivered", "unable to deliver", "cannot be delivered", "can't be delivered",
    "returned mail", "returned to sender", "return to sender", "returned message", "returned email",
    "returned by", "message returned", "mail returned", "email returned", "returning message", "user unknown",
    "unknown user", "unknown address", "unknown recipient", "address not found", "no such", "mailbox full",
    "mailbox unavailable", "over quota", "quota exceeded", "message not delivered", "mail not delivered",
    "e-mail not delivered", "rejected", "message blocked", "you sent blocked", "permanent failure", "transient failure",
    "invalid recipient", "bounce", "error sending", "problem delivering", "warning: could not send",
    "warning: message", "ndn:", "ndr:", "dsn:", "delivery_failure", "delayed", "banned", "virus", "delay",
    "considered unsolicited",
    // German, French, Spanish, Portuguese, Italian, Dutch
    "unzustellbar", "nicht zustellbar", "nicht zugestellt", "unzustellbarkeit", "zustellung", "zustellfehler",
    "nicht übermittelt", "fehlgeschlagen", "rückläufer", "non remis", "non délivr", "non distribu", "non livr",
    "non-remise", "échec", "echec", "remise", "n'a pas pu être", "no entregado", "no se pudo entregar",
    "no se puede entregar", "no se ha podido entregar", "no entregable", "error de entrega", "fallo de entrega",
    "fallo en la entrega", "no ha podido", "devuelto", "devolución", "não entregue", "não pôde ser entregue",
    "não foi possível entregar", "falha na entrega", "falha de entrega", "devolvid", "mancato recapito",
    "impossibile recapitare", "non recapitabile", "non consegnat", "consegna fallita", "errore di consegna",
    "mancata consegna", "notifica di recapito", "onbestelbaar", "niet afgeleverd", "niet bezorgd",
    "kan niet worden", "mislukt",
    // Nordic, Polish, Czech, Hungarian, Turkish
    "kunde inte levereras", "kan inte levereras", "ikke leveres", "kan ikke leveres", "ikke levert",
    "leveringsfejl", "olevererad", "ej levererat", "toimitus", "toimittaa", "niedostarczon", "nie dostarczono",
    "niedoręcz", "zwrot", "nedoruč", "kézbesíthetetlen", "nem kézbesíthető", "teslim edilemedi", "iletilemedi",
    "teslim edilemeyen",
    // Russian, Japanese, Chinese, Korean, Persian, Arabic, Hebrew
    "недостав", "не доставлен", "не удалось доставить", "невозможно доставить", "ошибка доставки", "доставка",
    "配信に失敗", "配送失敗", "配送に失敗", "配送不能", "配送エラー", "配送できません", "お届けできません", "宛先不明", "返送", "送信に失敗", "配信できませんでした", "送信できませんでした", "送れませんでした", "配信不能", "配信エラー", "配信できません", "送信エラー", "送信失敗", "送信できません", "配達", "未達", "不達", "不着", "届け", "エラー", "退信", "退回",
    "未送达", "无法投递", "无法送达", "投递失败", "發送失敗", "发送失败", "傳送失敗", "無法傳遞", "寄送失敗", "传递失败", "系统退信", "전달 실패", "배달 실패",
    "전송 실패", "반송", "배달되지", "전달되지", "تحویل", "برگشت", "تعذر التسليم", "لم يتم تسليم", "لم يتم التسليم",
    "לא נמסר", "לא ניתן",
];

/// Words with which programs open a notice, whoever they say they are.
#[rustfmt::skip]
const OPENINGS: &[&str] = &[
    "this is the qmail-send program", "this is the mail system at host",
    "this message was created automatically by mail delivery software",
    "this message was created automatically by the mail system",
    "this message was generated automatically by mail delivery software",
    "this is an automatically generated delivery status", "this is a delivery status notification",
    "the following address(es) failed", "the following addresses had", "following addresses failed",
    "had permanent fatal errors", "had transient non-fatal errors", "delivery to the following recipient",
    "did not reach the following recipient", "did not reach some or all of the intended recipients",
    "your message did not reach", "could not be delivered to", "couldn't be delivered to",
    "unable to deliver message to", "i'm sorry to have to inform you", "i'm afraid i wasn't able to deliver",
    "was undeliverable to the following", "undeliverable to the following", "was not delivered to",
    "wasn't delivered to", "message has failed delivery", "failed to be delivered",
    "this is the postfix program", "an error occurred while trying to deliver",
    "an error occurred while sending", "message could not be delivered", "message cannot be delivered",
    "mail could not be delivered", "mail cannot be delivered", "could not deliver the message",
    "could not deliver your message", "could not deliver message to", "unable to deliver your message",
    "unable to deliver the message", "cannot deliver the message", "cannot be delivered to the following",
    "your message cannot be delivered", "your e-mail could not be delivered",
    "your email could not be delivered", "delivery has failed", "delivery failed to",
    "generated by the mail delivery software", "message from yahoo.com",
    "the message that you sent was undeliverable", "this report relates to a message you sent", "unknown user:",
    "user mailbox exceeds allowed size", "failed recipient:", "the original message was received at",
    "transcript of session", "recipient's mailbox is full, message returned to sender",
    "undelivered mail returned", "returned to you without being delivered", 
    "the attached message has failed", "we were unable to deliver", "we are unable to deliver",
    "could not send message for past", "each of the following recipients was rejected",
    "could not be delivered to the following", "did not receive this message", "not a valid user here",
    "was automatically rejected", "message from interscan", "has not been delivered:", "non-delivery report",
    "error message below:", "has been returned because", "returned mail follows", "failed addresses follow",
    "unable to deliver your message", "unable to deliver message", "<<< rcpt to", ">>> rcpt to", "<<< mail from",
    ">>> mail from",
];

/// Words of a notice that the mail arrived.
const DELIVERED: &[&str] = &[
    "successfully delivered",
    "successfully relayed",
    "delivered successfully",
    "successful mail delivery",
    "delivery was successful",
];

/// Whether subject or text say that a mail came back.
pub(super) fn looks_failed(subject: &str, text: &str) -> (bool, bool) {
    let opened = OPENINGS.iter().any(|phrase| text.contains(phrase));
    let is_delivered = || DELIVERED.iter().any(|phrase| text.contains(phrase) || subject.contains(phrase));
    let said = FAILED.iter().any(|phrase| subject.contains(phrase)) && (opened || !is_delivered());
    (said, opened)
}

/// Whether a subject begins by saying so.
pub(super) fn begins_failed(subject: &str) -> bool {
    FAILED.iter().any(|phrase| subject.starts_with(phrase))
}

/// Whether a text begins with a heading that only programs write, whatever list passed it on.
pub(super) fn begins_as_notice(text: &str) -> bool {
    const HEADINGS: &[&str] = &[
        "message from interscan",
        "interscan",
        "non-delivery report",
        "sent <<< ",
        "this is the mail delivery agent at",
        "this is the mail system at",
        "failure reasons",
    ];
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    HEADINGS.iter().any(|heading| text.starts_with(heading))
}

/// Whether it only warns that delivery is late and goes on.
pub(super) fn is_warning(subject: &str, text: &str) -> bool {
    const SUBJECTS: &[&str] = &[
        "(delay)",
        "delivery delayed",
        "delayed mail",
        "delayed:",
        "delivery delay",
        "still being retried",
        "warning: could not send message",
        "warning: message",
        "delay notification",
        "verzögert",
        "retardé",
        "retrasad",
        "ritardata",
        "vertraagd",
        "задерж",
        "遅延",
        "延迟",
    ];
    #[rustfmt::skip]
    const TEXTS: &[&str] = &[
        "warning message only", "temporary failure report", "do not need to re-send",
        "is delayed for more than", "this is just a warning", "you do not need to resend",
        "do not need to resend", "does not have to be resent", "will keep trying", "will continue to try",
        "will be retried", "will continue trying", "no action is required", "is still trying",
        "still trying to deliver", "will try to deliver", "will retry", "delivery attempts will continue",
        "will keep on trying", "has not yet been delivered", "not been delivered yet",
        "has not been delivered yet",
        "delivery to the following recipients has been delayed",
        "delivery to the following recipients is delayed",
        "delivery to the following recipient has been delayed", "delivery has been delayed",
        "message will be retried", "being retried", "versucht weiterhin", "weitere zustellversuche",
        "wird weiterhin versucht", "réessay", "seguirá intentando", "continuará tentando", "continuera",
        "будут продолжены", "再送", "再試行し", "将继续尝试", "will be made to deliver", "gmail will retry",
        "being delayed",
    ];
    const OVER: &[&str] = &[
        "permanent",
        "will not try",
        "gave up",
        "giving up",
        "not going to try",
        "no further attempts",
        "has failed",
        "have failed",
        "was not able to be delivered",
        "could not be delivered for more",
    ];
    let warns =
        SUBJECTS.iter().any(|phrase| subject.contains(phrase)) || TEXTS.iter().any(|phrase| text.contains(phrase));
    warns && !OVER.iter().any(|phrase| text.contains(phrase))
}

/// Whether a text speaks of its reader's own mailbox, or wants something clicked. A server writes to who
/// sent the mail, about the mailbox of somebody else.
pub(super) fn is_about_reader(text: &str) -> bool {
    const PHRASES: &[&str] =
        &["your account", "your mailbox", "your email account", "your e-mail account", "your password", "click"];
    PHRASES.iter().any(|phrase| says(text, phrase))
}

/// Phrases of subjects: absence, a receipt, a challenge, another address.
#[rustfmt::skip]
const REPLY_SUBJECTS: &[&str] = &[
    "out of office", "out of the office", "out-of-office", "automatic reply", "automatic response",
    "auto reply", "auto-reply", "autoreply", "auto response", "auto-response", "autoresponse",
    "autoresponder", "auto:", "auto re:", "automated reply", "automated response", "vacation", "on holiday",
    "on leave", "away from", "i am away", "i'm away", "thank you for your", "thank you for contacting",
    "thanks for your", "we received your", "we have received your", "your message has been received",
    "ticket", "case #", "[request", "i am out", "i'm out", "maternity leave", "no longer with",
    "no longer works", "changed my email", "new email address", "new e-mail address",
    "my address has changed", "change of address", "address change", "confirm your", "please confirm",
    "verification required", "verify your email", "challenge", "sender verification", "message requires",
    "action required to deliver", "boxbe", "spamarrest", "spam arrest", "whitelist",
    "awaiting your verification", "read:", "read receipt", "lu :", "gelesen:", "leído:", "letto:", "lida:",
    "gelezen:", "opened:", "displayed", "not read:", "return receipt", "abwesen", "automatische antwort",
    "automatische beantwortung", "nicht im büro", "nicht im haus", "urlaub", "eingangsbestätigung",
    "réponse automatique", "reponse automatique", "absence", "absent", "en congé", "accusé de réception",
    "absent du bureau", "respuesta automática", "respuesta automatica", "fuera de la oficina",
    "fuera de oficina", "ausencia", "ausente", "vacaciones", "resposta automática", "fora do escritório",
    "férias", "ausência", "risposta automatica", "fuori sede", "fuori ufficio", "assenza", "assente",
    "ferie", "automatisch antwoord", "afwezig", "vakantie", "niet aanwezig", "autosvar", "frånvar",
    "fravær", "semester", "poissa", "automaattinen", "lomalla", "automatyczna odpowiedź",
    "odpowiedź automatyczna", "nieobecn", "urlop", "automatická odpověď", "nepřítomn", "automatikus válasz",
    "otomatik yanıt", "otomatik cevap", "ofis dışında", "izinde", "автоответ", "автоматический ответ",
    "вне офиса", "в отпуске", "отпуск", "отсутств", "自動応答", "自動返信", "不在", "休暇", "自动回复", "自動回覆", "自动答复",
    "外出", "休假", "자동 응답", "자동응답", "부재중", "자동 회신", "휴가", "پاسخ خودکار", "مرخصی", "خارج از دفتر", "رد تلقائي",
    "خارج المكتب", "תשובה אוטומטית", "מענה אוטומטי",
];

/// The same of texts.
#[rustfmt::skip]
const REPLY_TEXTS: &[&str] = &[
    "i am out of the office", "i'm out of the office", "i will be out of the office", "i am currently out",
    "i'm currently out", "currently out of the office", "i am out of office", "i'm out of office", "i am on vacation", "i'm on vacation",
    "on annual leave", "i am away", "i will be away", "i will return on", "i'll be back",
    "limited access to email", "limited access to e-mail", "limited access to my",
    "this is an automatic reply", "this is an automated reply", "this is an auto-reply",
    "this is an automated response", "automatic response from", "autoresponder",
    "no longer with the company", "no longer work", "no longer employed", "no longer monitored",
    "has left the company", "not monitored", "please click the link below to",
    "click on the link below to confirm", "to prove you are", "prove that you are human",
    "i am now protecting myself from", "i'm protecting myself from receiving junk", "verify that you sent",
    "approved senders list", "guest list", "to have your address added", "list of approved senders",
    "account is protected by", "ich bin nicht im büro", "ich bin derzeit nicht", "ich bin bis",
    "bin ich nicht erreichbar", "je suis absent", "je suis actuellement absent", "je serai absent",
    "je suis en congé", "estoy fuera", "estaré fuera", "me encuentro fuera", "estou de férias",
    "estou fora", "sono assente", "sarò assente", "sono in ferie", "ik ben afwezig", "jestem na urlopie",
    "я в отпуске", "нахожусь в отпуске", "休暇を取って", "不在にして", "我正在休假", "我在休假", "در مرخصی",
];

/// Headers that only such programs write, whatever they hold, unless it is `no`.
const REPLY_HEADERS: &[&str] = &[
    "x-autoreply",
    "x-autorespond",
    "x-autoreply-from",
    "x-auto-reply-from",
    "x-mail-autoreply",
    "x-auto-response-suppress-reply",
    "x-away-message",
    "x-boxbe",
];

/// By what an automatic reply is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct AutoReply {
    /// Bounces may carry these, too (RFC 3834).
    pub by_header: bool,
    pub by_subject: bool,
    pub by_text: bool,
}

/// Whether a program of the recipient's answered: absence, a challenge, a receipt.
pub(super) fn is_auto_reply(mail: &Mail, subject: &str, text: &str) -> AutoReply {
    AutoReply {
        by_header: has_reply_header(mail),
        by_subject: REPLY_SUBJECTS.iter().any(|phrase| subject.contains(phrase)),
        by_text: REPLY_TEXTS.iter().any(|phrase| text.contains(phrase)),
    }
}

/// Whether its headers say that a program answered.
fn has_reply_header(mail: &Mail) -> bool {
    let header = |name: &str| mail.header(name).to_ascii_lowercase();
    let marked = |name: &&str| {
        let value = header(name);
        !value.is_empty() && value != "no"
    };
    let precedence = header("precedence");
    header("auto-submitted").starts_with("auto-replied")
        || REPLY_HEADERS.iter().any(marked)
        || header("x-mailer").contains("vacation")
        // CommuniGate says `Mirror` of what it passes on.
        || header("x-autogenerated").starts_with("repl")
        || header("x-loop").contains("autorepl")
        || precedence.contains("auto_reply")
        || precedence.contains("auto-reply")
        || header("delivered-to").starts_with("autoresponder")
        || header("content-type").contains("disposition-notification")
        || !header("x-delivered-by-autoresponder").is_empty()
}

/// Whether a list or a campaign sent it.
pub(super) fn is_bulk(mail: &Mail) -> bool {
    ["list-unsubscribe", "list-id", "list-post", "feedback-id"].iter().any(|name| !mail.header(name).is_empty())
}

/// Whether it answers or passes on a mail: what it quotes is no notice of its own.
pub(super) fn is_answer(subject: &str) -> bool {
    const STARTS: &[&str] = &[
        "re:",
        "aw:",
        "fwd:",
        "fw:",
        "wg:",
        "tr:",
        "rv:",
        "sv:",
        "antw:",
        "r:",
        "i:",
        "res:",
        "enc:",
        "回复",
        "转发",
        "پاسخ:",
    ];
    STARTS.iter().any(|start| subject.starts_with(start))
}
