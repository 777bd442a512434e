//! The sender against a server that follows a script (`script`), and over TLS (`tls`).

use tokio::net::TcpListener;

use super::*;
use crate::domain::message::{Content, Purpose, Reason};

mod fuzz;
mod hostile;
mod script;
mod tls;

use script::Heard;
use script::Step::{self, *};
use script::serve;

const PLAIN: &str = "250-mx.test\r\n250 8BITMIME\r\n";
const PIPELINING: &str = "250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10000000\r\n";

/// The steps up to EHLO's answer.
fn hello(offers: &'static str) -> Vec<Step> {
    vec![Say("220 mx.test"), Hear("EHLO"), Say(offers.strip_suffix("\r\n").unwrap())]
}

/// MAIL, RCPT and DATA heard together, as only a pipelining client sends them.
fn pipelined(answers: [&'static str; 3]) -> Vec<Step> {
    let mut steps = vec![Hear("MAIL FROM:<hello@example.com>"), Hear("RCPT TO:<sara@example.org>"), HearOnly("DATA")];
    steps.extend(answers.map(Say));
    steps
}

fn taken() -> Vec<Step> {
    vec![HearMail, Say("250 2.0.0 Ok: queued as ABC1")]
}

fn envelope() -> Envelope {
    Envelope {
        at: 1_767_225_600_000,
        campaign: "birthday-gift".to_owned(),
        ..Envelope::new(
            "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            Purpose::Marketing,
            "sara@example.org",
            Content::Email {
                from: "Shop <hello@example.com>".to_owned(),
                to_name: String::new(),
                return_path: None,
                headers: Vec::new(),
                subject: "Hi".to_owned(),
                html: None,
                text: ".one\n.\ntwo\n".to_owned(),
            },
        )
    }
}

fn options(port: u16) -> SmtpOptions {
    SmtpOptions {
        hello: Some("shop.test".to_owned()),
        timeout: Duration::from_secs(10),
        ..SmtpOptions::new("127.0.0.1", port)
    }
}

/// Sends the mail once for each expected outcome, over one sender.
async fn check(steps: Vec<Step>, change: impl FnOnce(&mut SmtpOptions), expected: &[&str]) -> Heard {
    let (port, server) = serve(steps).await;
    let mut options = options(port);
    change(&mut options);
    let mut sender = SmtpFactory::new(options).unwrap().open();
    for expected in expected {
        let outcome = sender.send(&envelope()).await;
        assert_eq!(word(&outcome), *expected, "{outcome:?}");
        assert!(!format!("{outcome:?}").contains("sara"), "{outcome:?}");
    }
    drop(sender);
    server.await.unwrap()
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { reference } => format!("sent {}", reference.as_deref().unwrap_or("-")),
        Outcome::Retry { .. } => "retry".to_owned(),
        Outcome::Rejected { reason, suppress, .. } => format!("{reason}{}", if *suppress { " suppress" } else { "" }),
        Outcome::Pause { pause, .. } => format!("pause {}", pause.as_secs()),
        Outcome::Later { .. } => "later".to_owned(),
        Outcome::Uncertain { .. } => "uncertain".to_owned(),
    }
}

fn steps<const N: usize>(parts: [Vec<Step>; N]) -> Vec<Step> {
    parts.into_iter().flatten().collect()
}

/// MAIL, RCPT and DATA one after the other.
fn one_by_one() -> Vec<Step> {
    vec![
        HearOnly("MAIL FROM:<hello@example.com>\r\n"),
        Say("250 ok"),
        HearOnly("RCPT TO:<sara@example.org>\r\n"),
        Say("250 ok"),
        HearOnly("DATA\r\n"),
        Say("354 go on"),
    ]
}

#[tokio::test]
async fn a_mail_goes_out_with_its_dots_stuffed() {
    let heard = check(steps([hello(PLAIN), one_by_one(), taken()]), |_| {}, &["sent ABC1"]).await;
    let body = heard.mails[0].split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, "..one\r\n..\r\ntwo\r\n\r\n.\r\n");
}

#[tokio::test]
async fn with_pipelining_the_three_commands_come_together() {
    let ok = || pipelined(["250 ok", "250 ok", "354 go on"]);
    let heard =
        check(steps([hello(PIPELINING), ok(), taken(), ok(), taken()]), |_| {}, &["sent ABC1", "sent ABC1"]).await;
    assert_eq!(heard.mails[0], heard.mails[1], "a retry has the same bytes");
}

#[tokio::test]
async fn a_refused_recipient_beside_an_accepted_data_ends_with_a_lone_dot() {
    let heard = check(
        steps([
            hello(PIPELINING),
            pipelined(["250 ok", "550 5.1.1 <sara@example.org>: unknown", "354 go on"]),
            vec![HearOnly(".\r\n"), Say("554 5.5.1 no valid recipients")],
            pipelined(["250 ok", "250 ok", "354 go on"]),
            taken(),
        ]),
        |_| {},
        &["bad_recipient suppress", "sent ABC1"],
    )
    .await;
    assert_eq!(heard.mails.len(), 1);
}

#[tokio::test]
async fn after_a_refusal_the_connection_is_reset_and_used_again() {
    let reset = |rest| steps([vec![Hear("RSET")], rest]);
    check(
        steps([
            hello(PIPELINING),
            pipelined(["250 ok", "450 4.2.1 greylisted", "554 5.5.1 no valid recipients"]),
            reset(vec![
                Hear("MAIL"),
                Hear("RCPT"),
                HearOnly("DATA"),
                Say("250 reset"),
                Say("250 ok"),
                Say("250 ok"),
                Say("354 go"),
            ]),
            taken(),
        ]),
        |_| {},
        &["retry", "sent ABC1"],
    )
    .await;
    check(
        steps([
            hello(PLAIN),
            vec![
                HearOnly("MAIL"),
                Say("250 ok"),
                HearOnly("RCPT"),
                Say("550 5.1.1 no"),
                HearOnly("RSET"),
                Say("250 ok"),
            ],
            one_by_one(),
            taken(),
        ]),
        |_| {},
        &["bad_recipient suppress", "sent ABC1"],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_at_each_stage_has_its_outcome() {
    let at = async |answers: [&'static str; 3], expected: &str| {
        check(steps([hello(PIPELINING), pipelined(answers)]), |_| {}, &[expected]).await;
    };
    at(["451 4.3.0 later", "503 no", "503 no"], "retry").await;
    at(["550 5.7.1 not you", "503 no", "503 no"], "refused").await;
    at(["250 ok", "550 mailbox unavailable", "554 no"], "bad_recipient").await;
    at(["250 ok", "250 ok", "451 4.3.0 later"], "retry").await;
    at(["250 ok", "250 ok", "554 5.7.1 no"], "refused").await;
    at(["530 5.7.0 authentication required", "503 no", "503 no"], "pause 300").await;
    let dot = async |answer: &'static str, expected: &str| {
        let ok = pipelined(["250 ok", "250 ok", "354 go on"]);
        check(steps([hello(PIPELINING), ok, vec![HearMail, Say(answer)]]), |_| {}, &[expected]).await;
    };
    dot("451 4.7.1 greylisted", "retry").await;
    dot("554 5.7.1 spam", "refused").await;
    dot("552 5.3.4 too big", "message_refused").await;
}

#[tokio::test]
async fn a_connection_lost_after_the_final_dot_is_uncertain_and_before_it_a_retry() {
    let ok = || pipelined(["250 ok", "250 ok", "354 go on"]);
    check(steps([hello(PIPELINING), ok(), vec![HearMail]]), |_| {}, &["uncertain"]).await;
    check(steps([hello(PIPELINING), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA")]]), |_| {}, &["retry"]).await;
    check(steps([hello(PLAIN), vec![Hear("MAIL"), Say("250 ok"), Hear("RCPT")]]), |_| {}, &["retry"]).await;
    check(vec![Say("220 mx.test"), Hear("EHLO")], |_| {}, &["pause 30"]).await;
    check(vec![], |_| {}, &["pause 30"]).await;
}

#[tokio::test]
async fn a_mail_of_which_only_a_part_left_is_a_retry() {
    let (port, server) =
        serve(steps([hello(PIPELINING), pipelined(["250 ok", "250 ok", "354 go on"]), vec![HearPart]])).await;
    let mut mail = envelope();
    if let Content::Email { text, .. } = &mut mail.content {
        // More than the buffers of two sockets.
        *text = "0123456789\n".repeat(1_000_000);
    }
    let outcome = SmtpFactory::new(options(port)).unwrap().open().send(&mail).await;
    assert_eq!(word(&outcome), "retry", "{outcome:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn an_answer_after_the_deadline_does_not_count() {
    let soon = |options: &mut SmtpOptions| options.timeout = Duration::from_millis(100);
    let ok = || pipelined(["250 ok", "250 ok", "354 go on"]);
    check(steps([hello(PIPELINING), ok(), vec![HearMail, Silence]]), soon, &["uncertain"]).await;
    check(steps([hello(PIPELINING), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Silence]]), soon, &["retry"]).await;
    check(vec![Silence], soon, &["pause 30"]).await;
}

#[tokio::test]
async fn a_connection_that_the_server_closed_in_between_is_opened_anew_once() {
    let ok = || pipelined(["250 ok", "250 ok", "354 go on"]);
    let first = || steps([hello(PIPELINING), ok(), taken()]);
    let heard = check(steps([first(), vec![NextConnection], first()]), |_| {}, &["sent ABC1", "sent ABC1"]).await;
    assert_eq!(heard.connections, 2);
    // Postfix says so to a client that was idle for too long.
    let idle = || vec![Say("421 4.4.2 timeout exceeded"), NextConnection];
    check(steps([first(), idle(), first()]), |_| {}, &["sent ABC1", "sent ABC1"]).await;
    // A server that does it to a fresh connection is answered with patience.
    let closed =
        || steps([hello(PIPELINING), vec![Hear("MAIL"), Hear("RCPT"), Hear("DATA"), Say("421 4.3.2 closing")]]);
    check(steps([first(), idle(), closed()]), |_| {}, &["sent ABC1", "retry"]).await;
    check(steps([closed(), vec![NextConnection], first()]), |_| {}, &["retry", "sent ABC1"]).await;
}

#[tokio::test]
async fn a_connection_is_changed_after_its_share_of_messages() {
    let ok = || pipelined(["250 ok", "250 ok", "354 go on"]);
    let heard = check(
        steps([
            hello(PIPELINING),
            ok(),
            taken(),
            ok(),
            taken(),
            vec![HearOnly("QUIT"), Say("221 bye"), NextConnection],
            hello(PIPELINING),
            ok(),
            taken(),
        ]),
        |options| options.messages_per_connection = 2,
        &["sent ABC1", "sent ABC1", "sent ABC1"],
    )
    .await;
    assert_eq!(heard.connections, 2);
}

#[tokio::test]
async fn closing_says_goodbye() {
    let ok = pipelined(["250 ok", "250 ok", "354 go on"]);
    let (port, server) = serve(steps([hello(PIPELINING), ok, taken(), vec![HearOnly("QUIT"), Say("221 bye")]])).await;
    let mut sender = SmtpFactory::new(options(port)).unwrap().open();
    assert_eq!(word(&sender.send(&envelope()).await), "sent ABC1");
    sender.close().await;
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_pauses_the_sender() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outcome = SmtpFactory::new(options(port)).unwrap().open().send(&envelope()).await;
    assert_eq!(
        outcome,
        Outcome::Pause {
            reply: "cannot reach the mail server: Connection refused (os error 111)".to_owned(),
            pause: Duration::from_secs(30),
        }
    );
}

#[tokio::test]
async fn nothing_goes_out_in_the_clear_where_starttls_is_required() {
    let starttls = |options: &mut SmtpOptions| options.tls = Tls::Starttls;
    check(vec![Say("220 mx.test"), Hear("EHLO"), Say("250 mx.test"), Silence], starttls, &["pause 300"]).await;
    let refused = vec![
        Say("220 mx.test"),
        Hear("EHLO"),
        Say("250-mx.test\r\n250 STARTTLS"),
        HearOnly("STARTTLS"),
        Say("454 4.7.0 not now"),
    ];
    check(steps([refused, vec![Silence]]), starttls, &["pause 30"]).await;
}

#[tokio::test]
async fn credentials_are_given_by_plain_or_login() {
    let secret = |options: &mut SmtpOptions| {
        options.username = Some("shop".to_owned());
        options.password = Some("s3cret".to_owned().into());
    };
    let ehlo = |offers| vec![Say("220 mx.test"), Hear("EHLO"), Say(offers)];
    check(
        steps([
            ehlo("250-mx.test\r\n250 AUTH LOGIN PLAIN"),
            vec![HearOnly("AUTH PLAIN AHNob3AAczNjcmV0\r\n"), Say("235 2.7.0 ok")],
            one_by_one(),
            taken(),
        ]),
        secret,
        &["sent ABC1"],
    )
    .await;
    let login = vec![
        HearOnly("AUTH LOGIN\r\n"),
        Say("334 VXNlcm5hbWU6"),
        HearOnly("c2hvcA==\r\n"),
        Say("334 UGFzc3dvcmQ6"),
        HearOnly("czNjcmV0\r\n"),
        Say("535 5.7.8 authentication failed"),
    ];
    check(steps([ehlo("250-mx.test\r\n250 AUTH LOGIN"), login]), secret, &["pause 300"]).await;
    check(ehlo("250-mx.test\r\n250 AUTH CRAM-MD5"), secret, &["pause 300"]).await;
}

#[tokio::test]
async fn what_is_no_mail_touches_no_server() {
    let mut mail = envelope();
    mail.content = Content::text("x");
    let outcome = SmtpFactory::new(options(1)).unwrap().open().send(&mail).await;
    assert!(matches!(outcome, Outcome::Rejected { reason: Reason::Unbuildable, suppress: false, .. }));
}

#[test]
fn options_say_whether_they_stay_on_this_machine_and_hide_the_password() {
    let local = |host: &str| SmtpFactory::new(SmtpOptions::new(host, 25)).unwrap().is_local();
    for (host, expected) in
        [("localhost", true), ("127.0.0.1", true), ("::1", true), ("mx.example.com", false), ("10.0.0.1", false)]
    {
        assert_eq!(local(host), expected, "{host}");
    }
    let mut options = SmtpOptions::new("localhost", 25);
    options.password = Some("s3cret".to_owned().into());
    assert!(!format!("{options:?}").contains("s3cret"));
}
