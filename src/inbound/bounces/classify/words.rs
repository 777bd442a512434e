//! The words by which servers say why a mail came back, in the languages they say it in.

/// Why a mail came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// No such user, or one that is switched off.
    Dead,
    /// No such domain.
    NoDomain,
    /// The domain takes no mail, at least today.
    NoMail,
    /// The mailbox is full.
    Full,
    /// It may work later, or would have.
    Temporary,
    /// Reputation, policy, authentication, rate, content, size; or a fault of the sender's.
    Blocked,
    /// Refused for good, and nobody says why.
    Refused,
}

/// The first reason of which a text has a phrase decides: what suppresses nobody comes first, except
/// that words which may be said of anything come last.
pub(super) const RULES: &[(Why, &[&str])] = &[
    (Why::Full, FULL),
    (Why::Blocked, LIST),
    (Why::Dead, CERTAIN),
    (Why::Blocked, SENDER),
    (Why::Blocked, BLOCKED),
    (Why::Temporary, PROGRAM),
    (Why::Temporary, NOT_YET),
    (Why::Refused, UNPROVEN),
    (Why::NoDomain, NO_DOMAIN),
    (Why::NoMail, NO_MAIL),
    (Why::Dead, DEAD),
    (Why::Dead, DEAD_ELSEWHERE),
    (Why::Blocked, TOO_LARGE),
    (Why::Temporary, TEMPORARY),
    (Why::Blocked, VAGUELY_BLOCKED),
];

/// Those whose words mean one thing, for what a server itself answered.
pub(super) const CLEAR: &[(Why, &[&str])] = RULES.split_at(RULES.len() - 3).0;

/// Those that tell of another reason although a code says that the address is dead.
pub(super) const OTHERWISE: &[(Why, &[&str])] = RULES.split_at(6).0;

/// Words of a refusal that say the least: a code of the address says more.
pub(super) const REFUSED: &[(Why, &[&str])] = &[(Why::Blocked, REFUSED_ALONE)];

/// Words by which a server refuses the mail and names no recipient.
pub(super) const VAGUE: &[(Why, &[&str])] = &[(Why::Blocked, VAGUELY_BLOCKED), (Why::Blocked, REFUSED_ALONE)];

#[rustfmt::skip]
const FULL: &[&str] = &[
    "mailbox full", "mailbox is full", "mail box full", "mail box is full", "mailbox for … is full", "mailbox … is full",
    "mailbox too full", "mailfolder is full", "mail folder is full", "inbox is full", "inbox full", "account is full",
    "over quota", "overquota", "over the quota", "over their quota", "over its quota", "over disk quota",
    "over the allowed quota", "above his quota", "out of quota", "quota exceed", "quotaexceeded", "quota exceeded",
    "quota violation", "exceeded … quota", "exceeds … quota", "exceed … quota", "quota is full", "quota full",
    "quota has been reached", "quota limit", "disk quota", "mail quota", "mailbox quota", "storage quota",
    "reached his quota", "reached their quota", "exceeded storage", "exceeded its storage", "exceeded the maximum inbound storage",
    "exceeded … storage", "storage … exceeded", "out of storage", "storage limit", "storage is full", "no storage space", "exceeded … disk space",
    "not enough storage", "not enough space", "not enough disk space", "insufficient disk space", "insufficient storage",
    "insufficient mailbox", "no space left", "disk full", "disk is full", "no room in mailbox",
    "mailbox size limit", "maximum mailbox size", "mailbox … exceeds", "mailbox … exceeded", "mailbox has exceeded",
    "exceeded … mailbox", "exceeds … mailbox", "mailbox limit", "mailbox … size limit", "maildir over quota",
    "mailbox has reached", "mailbox … too many messages", "would exceed mailbox", "would be over quota", "would cause … quota",
    "incoming mailbox … is full", "recipient's mailbox is full", "recipient storage full", "out of space",
    "too much mail", "is over … quota", "message count limit", "over the maximum allowed mailbox size", "mbox full",
    "exceeding … quota", "overdrawn", "full mailbox", "enough space", "space not enough", "exhausted … storage",
    "has too many messages", "too many messages in … mailbox", "maximum mail storage", "mailbox is over", "mailbox storage",
    "mailbox … over its limit", "mailbox exceeds", "reached … storage", "max mailbox size", "no disk space", "user is over quota",
    // German, French, Spanish, Portuguese, Italian, Dutch
    "zuviele mails", "zu viele mails", "zu viele nachrichten", "postfach ist voll", "postfach … voll", "postfach voll", "mailbox ist voll", "mailbox voll", "speicherplatz", "kontingent",
    "quota überschritten", "überfüllt", "boîte … pleine", "boite … pleine", "boîte pleine", "boite pleine",
    "messagerie pleine", "messagerie est pleine", "quota dépassé", "quota depasse", "espace de stockage", "espace insuffisant",
    "mailbox lleno", "mailbox … lleno", "casilla llena", "casilla … llena", "mailbox cheia", "mailbox piena", "mailbox … piena", "boite aux lettres pleine", "buzón … lleno", "buzon … lleno", "buzón lleno", "buzon lleno", "bandeja … llena", "cuota", "espacio insuficiente",
    "caixa … cheia", "caixa postal cheia", "caixa … lotada", "cota excedida", "quota excedida", "espaço insuficiente",
    "casella piena", "casella … piena", "casella di posta … piena", "spazio esaurito", "spazio insufficiente",
    "postvak is vol", "postvak … vol", "mailbox is vol", "mailbox vol",
    // Polish, Czech, Turkish, Russian, Swedish, Danish, Finnish
    "skrzynka … pełna", "skrzynka … przepełniona", "skrzynka pełna", "schránka je plná", "schránka … plná", "plná schránka", "posta kutusu … dolu",
    "posta kutusu dolu", "kotası", "kota aşıldı", "переполнен", "превышена квота", "превышен лимит", "квота",
    "ящик полон", "brevlåda … full", "postkasse … fuld", "postilaatikko … täynnä",
    // Japanese, Chinese, Korean, Persian, Arabic, Hebrew
    "容量を超", "容量が", "容量オーバー", "容量制限", "いっぱい", "満杯", "空き容量", "邮箱已满", "信箱已满", "信箱已滿", "邮箱满", "空间不足",
    "空間不足", "容量已满", "超出限额", "配额", "사서함이 가득", "메일함이 가득", "편지함이 가득", "가득 찼", "용량 초과", "용량이", "용량을 초과",
    "صندوق … پر", "پر شده", "ممتلئ", "امتلاء", "מלאה",
];

/// Refused because of who sends, or how we speak.
#[rustfmt::skip]
const SENDER: &[&str] = &[
    "sender address rejected", "sender rejected", "sender verify failed", "sender verification", "sender denied", "sender refused",
    "sender not authorized", "sender is not authorized", "sender not allowed", "sender … is not allowed", "sender … blocked", "bad sender",
    "invalid sender", "unknown sender", "sender unknown", "sender is unknown", "sender … does not exist", "sender … doesn't exist", "sender domain", "sender's domain",
    "domain of sender", "originator address", "originator … not", "invalid originator", "verify sender", "verify the sender", "verifying sender", "envelope sender", "bad return address", "invalid return address", "return address rejected", "return address … rejected", "return address … invalid", "return address … not",
    "from address", "mail from command", "reply to mail from", "response to mail from", "authentication required", "must authenticate",
    "authenticate first", "relay access denied", "relaying denied", "relay denied", "relay not permitted", "relaying not", "relaying is",
    "not permitted to relay", "not allowed to relay", "unable to relay", "cannot relay", "can't relay", "do not relay", "don't relay",
    "relaying … prohibited", "no relay", "relay not allowed", "rcpthosts", "prohibited to relay", "relaying mail", "relay … denied",
    "syntax error", "command not recognized", "command unrecognized", "unrecognized command", "bad sequence of commands",
    "resolver.rst", "sender was rejected", "sender is rejected", "sender address has", "sender address is", "sender address unknown", "sender address not", "sender address … not", "sender address invalid", "sender … null mx", "sender was refused", "sender … was refused", "sender's address", "sender address refused", "mail from address", "from domain", "mail from domain", "mail from: domain", "reverse-path", "reverse path",
    // German, French, Spanish, Portuguese, Italian, Dutch, Polish, Turkish
    "absenderadresse", "absender-adresse", "absenderdomain", "absender-domain", "absender abgelehnt", "absender wurde abgelehnt", "absender wird abgelehnt", "absender unbekannt", "absender ist unbekannt", "absender nicht", "absender ist nicht", "absender … gesperrt", "absender ungültig", "absender ist ungültig", "ungültiger absender", "unbekannter absender",
    "emetteur invalide", "émetteur invalide", "adresse de l'expéditeur", "adresse expéditeur", "domaine de l'expéditeur", "expéditeur … refus", "expéditeur … rejet", "expéditeur inconnu", "expéditeur est inconnu", "expéditeur invalide", "expéditeur est invalide", "expéditeur n'existe pas", "expéditeur non autorisé",
    "remitente … rechazad", "remitente no", "remitente inválid", "remitente desconocido", "remitente … bloquead", "dirección del remitente", "dominio del remitente",
    "remetente … rejeitad", "remetente não", "remetente inválid", "remetente desconhecido", "remetente … bloquead", "endereço do remetente", "domínio do remetente",
    "mittente … rifiutat", "mittente non", "mittente sconosciuto", "mittente … bloccat", "indirizzo del mittente", "dominio del mittente", "afzender … geweigerd", "afzender niet", "afzender is niet", "onbekende afzender", "afzenderadres",
    "nadawca … odrzuc", "nieznany nadawca", "adres nadawcy", "domena nadawcy", "gönderen … reddedildi", "gönderen adresi",
    // Russian, Japanese, Chinese, Korean, Persian
    "отправитель … отклон", "отправителя … отклон", "отправитель не", "отправителю … запрещ", "адрес отправителя", "домен отправителя", "送信者アドレス", "送信者の … 拒否", "送信元 … 拒否", "送信元アドレス", "送信元ドメイン", "差出人アドレス", "发件人 … 拒", "发件人地址", "发件人域名", "发件人不存在", "寄件者 … 拒", "寄件者地址", "寄件人地址", "寄件人 … 拒", "발신자 … 거부", "발신자 … 차단", "보낸사람 … 거부", "발신 … 도메인", "نشانی فرستنده", "فرستنده … مجاز",
];

/// Mailing lists and groups, where one may not post: the address is alive.
#[rustfmt::skip]
const LIST: &[&str] = &[
    "not a member of … list", "not a member of … group", "you are not member", "not a list member", "not a member of this", "not a member of the", "non-member", "non-members", "nonmember", "nonmembers", "members only", "members-only", "members of … list", "members of … group may", "only members", "only subscribers", "subscribers only", "subscriber-only", "subscribers-only", "not subscribed", "not a subscriber", "is not a list member", "not on … list of allowed", "must be subscribed", "must subscribe", "must be a member",
    "may not post", "not allowed to post", "not permitted to post", "not authorized to post", "not eligible to post", "cannot post", "can't post", "can not post", "unable to post", "permission to post", "permissions to post", "allowed to post", "posting to … list", "posting to this", "posting to the", "posting is", "postings to", "posts to this", "post to this", "post to the list", "post a message to", "post by non", "closed list", "closed mailing list", "private list", "private mailing list", "moderated list", "moderated mailing list", "moderator", "moderators", "awaiting moderation", "held for moderation", "list owner", "list is closed", "list … is restricted", "mailing list … restricted", "restricted list", "announcement list", "announce-only", "not accept messages from non",
    "send messages to this group", "send to this group", "send mail to this list", "send to this list", "send to the list", "sending to this list", "write to this list", "resolver.rst.notauthorized", "resolver.rst.restrictedtorecipientspermission", "delivery to this group",
    "kein mitglied", "nicht mitglied", "nur mitglieder", "nur abonnenten", "mailingliste … nicht", "verteilerliste … nicht", "keine berechtigung … liste", "pas membre", "réservée aux", "réservé aux abonnés", "pas abonné", "pas inscrit", "autorisé à … liste", "liste de diffusion … autorisé", "no es miembro", "sólo miembros", "solo miembros", "no está suscrito", "lista de correo … permi", "não é membro", "somente membros", "apenas membros", "não está inscrito", "solo i membri", "solo gli iscritti", "non è iscritto", "non sei iscritto", "geen lid", "alleen leden", "nie jest członkiem", "tylko członk", "nie jesteś subskrybentem", "üye değil", "sadece üyeler", "не является участником", "не подписан", "только для участников", "только подписчик", "メンバーではありません", "メンバーでない", "メンバー以外", "会員ではありません", "投稿できません", "投稿する権限", "投稿は許可", "不是成员", "不是该群", "仅限成员", "没有权限发送", "회원이 아닙니다", "멤버가 아닙니다", "عضو این فهرست نیست", "عضو گروه نیست",
];

/// Words of a dead address that hold words of other reasons.
#[rustfmt::skip]
const CERTAIN: &[&str] = &[
    "as(201806281)", "archived recipient", "destinataire archivee", "destinataire archivée", "lpn416", "lpn 416", "lpn007 420", "blocked due to inactivity", "blocked for inactivity", "blocked because of inactivity", "bloccato per inutilizzo", "bloccata per inutilizzo", "bloqueada por inactividad", "bloqueado por inactividad", "bloqueada por inatividade", "zablokowane administracyjnie lub nieaktywne", "ящик заблокирован", "nicht im domino",
];

/// The program that delivers to a mailbox, or that a mailbox hands its mail to, did not work.
#[rustfmt::skip]
const PROGRAM: &[&str] = &[
    "couldn't create", "could not create", "can't create", "cannot create", "can not create", "unable to create", "failed to create", "error creating", "couldn't open mail", "could not open mail", "can't open mail", "cannot open mail", "unable to open mail", "failed to open mail", "open output", "couldn't open /", "could not open /", "can't open /", "cannot open /", "unable to open /", "failed to open /", "error opening", "couldn't write", "could not write", "can't write", "cannot write", "unable to write", "failed to write", "error writing", "write error", "couldn't lock", "could not lock", "cannot lock", "can't lock", "unable to lock", "failed to lock", "couldn't rename", "cannot rename", "couldn't chdir", "cannot chdir", "unable to chdir", "unable to stat", "unable to switch to", "no such file or directory", "read-only file system", "input/output error", "too many open files", "cannot fork", "can't fork", "cannot exec", "can't exec", "unable to exec",
    "died with status", "died with signal", "died on signal", "killed by signal", "unknown mailer error", "mailer error", "command died", "command not found", "program failed", "pipe failed", "child crashed", "local delivery failed", "local delivery error", "error in local delivery", "failure in local delivery", "local mailer failed", "aliasing/forwarding loop", "forwarding loop", "alias loop",
];

/// A domain that takes no mail (RFC 7505), or to which no way leads: it may be a mistake of its owner's.
#[rustfmt::skip]
const NO_MAIL: &[&str] = &[
    "nullmx", "null mx", "does not accept mail", "doesn't accept mail", "does not accept email", "does not accept e-mail", "doesn't accept email", "does not accept any mail", "accepts no mail", "does not receive mail", "does not receive email", "domain … not accept mail", "host/domain does not accept", "no mx record", "no mx records", "has no mx", "no valid mx", "no mx host", "no mx for", "no mail exchanger", "no mail server for", "no mail servers for", "no mail hosts for", "no valid hosts", "no route found to domain", "no route to domain", "unable to route", "could not find a gateway", "cannot route", "malformed or unexpected name server reply", "malformed name server reply", "malformed dns server reply",
    "nimmt keine e-mails", "nimmt keine mails", "nimmt keine mail", "keine mx", "kein mx", "n'accepte pas de courrier", "n'accepte pas d'e-mail", "aucun enregistrement mx", "aucun mx", "no acepta correo", "sin registro mx", "não aceita e-mail", "não aceita email", "não aceita correio", "sem registro mx", "non accetta posta", "non accetta email", "nessun record mx", "accepteert geen mail", "geen mx", "nie przyjmuje poczty", "brak rekordu mx", "posta kabul etmiyor", "не принимает почту", "нет записи mx", "нет mx", "メールを受け付けていません", "mxレコードが", "不接收邮件", "没有mx记录", "메일을 받지 않",
];

#[rustfmt::skip]
const BLOCKED: &[&str] = &[
    "requires confirmation", "traffic not accepted", "ask your postmaster for help", "administrative lockout", "frequency limited", "na blacklistu", "(dyn:", "(rly:", "(hvu:", "(rtr:", "(con:", "recipient preferences", "preferences of the person", "preferences of the recipient", "will not accept delivery", "mass mailer", "not accepting mail with", "sender not pre-approved", "blocklist", "block list", "block-list", "blocklisted", "blacklist", "black list", "blacklisted", "black listed", "black-listed", "denylist", "deny list",
    "blocked using", "blocked by", "blocked due", "blocked for", "blocked because", "blocked as", "blocked from", "has been blocked",
    "have been blocked", "is blocked", "been blocked", "temporarily blocked", "on our block", "message blocked", "mail blocked", "mail content denied",
    "ip … blocked", "ip … banned", "listed at", "listed by", "listed on", "is listed", "rbl", "sbl", "xbl", "cbl", "spamtrap", "reputation", "dmarc", "spf",
    "dkim", "domainkeys", "domain keys", "senderid", "sender id", "sender policy", "unauthenticated", "not authenticated", "authentication check",
    "authentication information", "authentication fail", "failed authentication", "does not pass", "unsolicited", "bulk mail", "bulk email", "bulk e-mail",
    "junk mail", "junkmail", "considered spam", "considered as spam", "identified as spam", "classified as spam", "detected as spam", "marked as spam",
    "looks like spam", "look like spam", "appears to be spam", "is spam", "was spam", "be spam", "as spam", "for spam", "spam detected", "spam message", "spam content", "spam mail", "spam score", "spam email", "spam policy",
    "spam filter", "spamfilter", "spam-filter", "anti-spam", "antispam", "spam rejected", "spam refused", "spam source", "spam activity", "suspected spam", "probable spam", "no spam", "send spam", "sending spam", "sent spam", "spamming", "spammer",
    "spamassassin", "spam-like", "spam blocked", "spam control", "uce", "virus", "malware", "infected", "phish", "phishing", "suspicious", "harmful", "banned", "blocked content",
    "content rejected", "message content", "content … not accepted", "content … unacceptable", "content restriction", "content filter", "prohibited content", "objectionable", "rejected due to content", "rejected … content",
    "policy reason", "policy reasons", "policy violation", "violates … policy", "violation of … policy", "policy restriction", "policy restrictions", "local policy", "security policy", "site policy", "by policy", "policy rejection", "policy reject", "email policy", "mail policy", "against … policy",
    "administrative prohibition", "administratively", "administrative lock", "rate limit", "rate limited", "rate-limited", "ratelimit", "rate limiting", "rate that", "sending rate",
    "sending limit", "sending quota", "message quota", "daily … limit", "hourly limit", "daily quota", "too many messages", "too many emails", "too many mails",
    "too many connections", "too many recipients", "too many errors", "too many unknown", "too many invalid", "too many sessions", "too many concurrent", "throttled", "throttling", "exceeded … rate", "maximum … connections",
    "greylist", "greylisted", "greylisting", "graylist", "graylisted", "graylisting", "grey listed", "gray-listed", "grey-listed", "user complaints", "complaints", "unusual rate", "unusual … traffic",
    "excessive", "ptr record", "ptr", "reverse dns", "rdns", "reverse lookup", "no reverse", "reverse hostname", "reverse mapping", "helo command rejected", "helo", "ehlo", "client host rejected", "client host … blocked",
    "dynamic ip", "dynamic address", "residential", "your ip", "open relay", "open proxy", "header … rejected", "bad reputation", "poor reputation", "delivery not authorized",
    "not authorized to send", "not allowed to send", "not permitted to send", "only accepts", "only accept mail", "only senders", "does not accept mail from", "not accepting mail from", "do not accept mail from", "not accept … from", "restricted by", "challenge", "tss04", "tss09", "ts01", "ts02", "ts03", "s3140", "s3150", "s775", "oc-001", "sc-001", "cs01", "dy-001", "ofr 506", "ofr 999", "lpn007 102", "lpn007 517", "lpn004 401", "lpn105 104", "lpn105 402", "lpn105 403", "lpn105 405", "lpn105 421", "service refuse", "service refusé", "service refused",
    // Other languages
    "spamverdacht", "als spam", "sicherheitsgründen", "richtlinie", "blockiert", "gesperrte ip", "abgelehnt wegen", "schwarze liste", "comme spam", "comme du spam", "indésirable", "liste noire", "bloqué", "bloquee", "bloquée", "limitation atteinte", "trop de", "politique de", "raisons de sécurité",
    "lista negra", "como spam", "correo no deseado", "bloqueado", "bloqueada", "bloccato", "bloccata", "posta indesiderata", "lista nera", "geblokkeerd", "ongewenste", "zablokowan", "engellen", "спам", "заблокирован … ip", "черном списке", "чёрном списке", "политик", "serveur … blacklist",
    "受信拒否", "拒否され", "拒否設定", "受信を拒否", "指定受信", "迷惑メール", "スパム", "ブロック", "垃圾邮件", "垃圾郵件", "拒收", "拒绝接收", "被拒绝", "黑名单", "黑名單", "频率", "頻率", "스팸", "차단", "수신거부", "수신 거부", "هرزنامه", "محظور", "البريد العشوائي",
];

#[rustfmt::skip]
const NO_DOMAIN: &[&str] = &[
    "host unknown", "unknown host", "no such host", "host not found", "host or domain name not found", "host name lookup failure", "couldn't find any host", "cannot find any host", "host … does not exist", "hostname unknown",
    "no such domain", "unknown domain", "domain unknown", "domain not found", "domain name not found", "domain … not found", "domain … does not exist", "domain … doesn't exist", "domain … could not be found", "domain … couldn't be found", "domain … wasn't found",
    "domain doesn't exist", "non-existent domain", "nonexistent domain", "non existent domain", "non-existent hosts", "nxdomain", "name or service not known", "bad destination host", "unrouteable mail domain", "unrouteable domain", "unroutable domain", "unroutable mail domain", "illegal host/domain", "invalid domain", "not a valid domain", "bad domain name",
    "domain is not valid", "domain … expired", "badly formatted or nonexistent", "domain … is not configured", "domain not configured", "no mx or a records", "has no mail exchangers", "no a or mx records", "infodomainnonexistent",
    "nonexistentdomain", "mail domain mentioned in email address is unknown", "recipient domain must exist", "domain must exist", "unknown domain name", "domain … unknown", "domain unbekannt", "unbekannte domain", "domain existiert nicht", "domäne unbekannt", "nom de domaine inconnu", "domaine invalide", "dominio no válido", "dominio inválido", "domínio inexistente", "domínio inválido", "domínio desconhecido", "dominio sconosciuto", "domein onbekend", "domein bestaat niet", "nieznana domena", "domena nie istnieje", "alan adı bulunamadı", "alan adı mevcut değil", "неизвестный домен", "домен не существует", "ドメイン名が正しくありません", "ドメインが見つかりません", "域名错误", "无效的域名", "도메인이 존재하지 않", "دامنه وجود ندارد", "دامنه یافت نشد", "domäne … nicht gefunden", "domaine inconnu", "domaine … n'existe pas", "dominio desconocido", "dominio … no existe", "domínio … não existe", "dominio inesistente", "dominio … non esiste", "домен не найден", "домен … не существует", "ドメインが存在し", "域名不存在", "找不到域",
];

/// Words that hold although others say that the address is dead.
#[rustfmt::skip]
const NOT_YET: &[&str] = &[
    "try again later", "try later", "please try again in", "try again in a", "please try later", "unverified address", "address verification in progress", "temporary lookup failure", "temporary local problem", "temporary authentication", "recipient verification temporarily", 
    "host not found, try again", "temporary failure", "temporarily unavailable", "temporarily disabled", "temporarily suspended", "temporarily deferred", "temporarily rejected", "temporarily", "temporary error", "temporary system",
    "failing for a long time", "connection was dropped", "delivery failed … attempts", "exceeded maximum delivery attempts", "no more than … attempts", "retry timeout exceeded", "retry time not reached", "in the queue too long", "delivery time expired", "i wasn't able to establish", "vorübergehend", "temporairement", "temporalmente", "temporariamente", "temporaneamente", "tijdelijk", "временно", "一時的", "暂时", "일시적",
];

/// These sound dead, and may be no more than closed for a while, or at the wrong server.
#[rustfmt::skip]
const UNPROVEN: &[&str] = &[
    "account suspended", "account is suspended", "account has been suspended", "account … suspended", "mailbox … suspended", "mailbox currently suspended", "user suspended", "user is suspended",
    "mailbox is frozen", "mailbox frozen", "account is frozen", "domain at this location", "unavailable or access denied", "recipient address rejected: access denied", "address lookup failed", "利用停止", "compte du destinataire est bloque", "recipient account isblocked", "recipient account is blocked",
];

/// The address is dead: nobody has it, or it was closed.
#[rustfmt::skip]
const DEAD: &[&str] = &[
    "user unknown", "unknown user", "unknown local user", "unknown local part", "unknown local-part", "unknown recipient", "recipient unknown", "recipient is unknown", "recipients unknown", "unknown account", "unknown mailbox", "mailbox unknown", "unknown address", "address unknown", "unknown email address", "unknown to address", "unknown user account", "unknown virtual", "unknown or illegal alias", "unknown or illegal user", "unknown alias", "user … unknown", "recipient … unknown",
    "no such user", "no such recipient", "no such mailbox", "no such address", "no such account", "no such person", "no such local user", "no such email", "no such alias", "no such customer", "no such member", "no such … here", "no such domain user", "no such virtual user", "no such subscriber", "there is no such", "there is no user", "there is no one", "no user by that name", "no account by that name",
    "no mailbox here", "no mailbox found", "no mailbox by that name", "no mailbox called", "no valid mailbox", "no recipient by that name", "is not a valid mailbox", "is not a valid user", "is not a valid recipient", "is not a valid account", "not a valid mailbox", "not a valid recipient", "not a known user", "not a local user", "not our customer", "not our user", "not my user", "nobody here by that name", "is not a user",
    "user not found", "recipient not found", "mailbox not found", "account not found", "address not found", "user … not found", "recipient … not found", "mailbox … not found", "alias not found", "user id not found", "e-mail address not found", "email address not found", "name not found",
    "user not known", "recipient not known", "not known at this", "mailbox not known", "mailbox … unavailable: user", "user not registered", "user is not registered", "user not exist", "user not exists", "user no found", "mailbox not exist", "mailbox does not exist", "mailbox doesn't exist",
    "user does not exist", "user doesn't exist", "user … does not exist", "user … doesn't exist", "users do not exist", "recipient does not exist", "recipient … does not exist", "recipient doesn't exist", "recipients do not exist", "account does not exist", "account doesn't exist", "account … does not exist", "account … doesn't exist", "mailbox … does not exist", "mailbox … doesn't exist", "address does not exist", "address doesn't exist", "address … does not exist", "address … doesn't exist", "alias does not exist", "email address … doesn't exist", "does not exist here", "doesn't have an account", "doesn't have a … account", "does not have an account", "does not have an email account",
    "invalid recipient", "invalid mailbox", "invalid user", "invalid username", "invalid account", "invalid local address", "invalid alias", "recipient invalid", "recipient is invalid", "recipient address is invalid", "mailbox is invalid", "mailbox … is invalid", "mailbox invalid", "bad destination mailbox", "bad recipient", "bad address", "undeliverable address", "undeliverable recipient", "unrouteable address", "unroutable address", "not a deliverable", "address is not valid", "address no longer", "deactivated mailbox",
    "recipient address rejected: user", "recipient address rejected: no such", "recipient not recognized", "recipient is not recognized", "recipient name is not recognized", "name is not recognized", "user not recognized", "user is not recognized", "name not recognized", "was not recognized", "not found in … directory", "not in … address book", "not found in address book", "not exist in", "user not in", "not present in",
    "recipnotfound", "recipient not found by smtp address lookup", "exrecipnotfound", "wasn't found at", "couldn't be found", "could not be found at", "address couldn't be found", "email account does not exist at the organization", "e-mail account does not exist", "email address could not be found", "e-mail address could not be found", "e-mail address could not be delivered", "email address you entered couldn't be found", "email address … couldn't be found",
    "no longer exists", "no longer exist", "no longer valid", "no longer in use", "no longer active", "no longer accepts mail", "no longer a valid", "no longer a customer", "no longer on server", "ceased to exist",
    "account disabled", "account is disabled", "account … disabled", "account deactivated", "account is deactivated", "account is inactive", "account inactive", "account is not active", "account not active", "account … inactive", "account closed", "account is closed", "account terminated", "account expired", "account has expired", "account deleted", "account cancelled", "account that you tried to reach is disabled", "account that you tried to reach is inactive", "mailbox disabled", "mailbox is disabled", "mailbox … disabled", "mailbox closed", "mailbox inactive", "mailbox is inactive", "inactive mailbox", "inactive user", "inactive account", "user is inactive", "user disabled", "user is disabled", "user inactive", "user is not active", "user account is expired", "user account disabled", "disabled account", "disabled user", "disabled mailbox", "recipient is inactive", "recipient disabled", "recipient is disabled", "address is disabled", "address … disabled", "extended inactivity", "dormant account",
    "nonexistent user", "non-existent user", "nonexistent address", "non-existent address", "nonexistent mailbox", "non-existent mailbox", "nonexistent recipient", "non-existent recipient", "invalid final delivery userid", "not a valid user", "not an active address", "not an active user", "not an active account", "no mail box", "no mailbox available", "mail-box not found", "mail box not found",
    "addressee unknown", "ofr 416", "ofr 418", "no local mailbox", "user doesn't have a", "mailnosuchuser", "not have a mailbox", "has no mailbox", "aucun compte",
    "account has been deleted", "account has been removed", "account has been deactivated", "account has been disabled", "account has been terminated", "account has been closed", "account has been discontinued", "account has been cancelled", "mailbox has been deleted", "mailbox has been removed", "mailbox has been deactivated", "mailbox has been disabled", "mailbox has been terminated", "mailbox has been closed", "mailbox has been discontinued", "mailbox has been cancelled", "user has been deleted", "user has been removed", "user has been deactivated", "user has been disabled", "user has been terminated", "user has been closed", "user has been discontinued", "user has been cancelled", "address has been deleted", "address has been removed", "address has been deactivated", "address has been disabled", "address has been terminated", "address has been closed", "address has been discontinued", "address has been cancelled", "recipient has been deleted", "recipient has been removed", "recipient has been deactivated", "recipient has been disabled", "recipient has been terminated", "recipient has been closed", "recipient has been discontinued", "recipient has been cancelled", "account … no longer available", "mailbox … no longer available", "address … no longer available", "user is not known", "recipient is not known", "not listed in domino", "not listed in public", "not listed in … directory", "not a registered gateway user", "invalid receiver", "invalid address", "illegal user", "not a valid address", "isn't a valid address",
    "has been replaced by", "no valid recipients for this", "bad rcpt", "bad destination email", "bad destination e-mail", "non existent user", "non existent address", "non existent mailbox", "non existent recipient", "marked as invalid", "mailbox nao encontrada", "recipients does not exist", "user invalid", "account invalid", "address invalid", "address is invalid", "email address is unknown", "e-mail address is unknown", "email address … not known", "e-mail address … not known", "recipient address … not known", "address you … not exist", "email address is wrong or no longer valid", "no such mail drop", "no such mail box", "no such email account", "no such mailbox here", "no such id", "no one with that", "no one by that name", "no person by that name", "nobody by that name", "no known user", "no local user", "no valid user", "no active user", "unknown email", "unknown e-mail", "unknown username", "unknown customer", "unknown subscriber", "unknown member", "unknown destination address", "destination address unknown", "destination addresses were unknown", "destination unknown", "userunknown", "user-unknown", "user id unknown", "login unknown", "username unknown", "mailbox name not", "unable to find alias", "unable to find user", "unable to find recipient", "could not find user", "couldn't find user", "could not find … user", "cannot find user", "can't find user", "can't accept user", "not a user here", "not a user at", "not a user on", "not a valid id", "not a valid email address", "not an existing user", "not an existing mailbox", "not a local address", "not a local recipient", "not local mailbox", "recipient not local", "recipient is not local", "recipient not ok", "recipient not valid", "recipient is not valid", "recipients was undeliverable: unknown", "mailbox not present", "mailbox is not present", "address not present", "doesn't handle mail for that user", "does not handle mail for that user", "does not have a mailbox", "doesn't have a mailbox", "does not have an e-mail", "does not have a final email delivery point", "has no account", "has no email account", "disabled due to inactivity", "closed due to inactivity", "deleted due to inactivity", "mailbox expired", "account not activated", "has been retired", "account is expired", "listed in public name", "user not listed", "user … not listed", "did not exactly match", "badrcptto", "badrecipientto", "validrcptto", "#5.1.0 address rejected", "#5.1.1 bad address", "undelivered: unknown", "vdeliver: invalid", "utente non", "no thank you rejected: account",
];

#[rustfmt::skip]
const DEAD_ELSEWHERE: &[&str] = &[
    // German
    "adressat unbekannt", "empfaenger unbekannt", "unbekannter empfaenger", "benutzer … unbekannt", "nutzer unbekannt", "unbekannter nutzer", "unbekannter adressat", "teilnehmer unbekannt", "empfänger existiert", "empfängeradresse … ungültig", "empfängeradresse ungültig", "ungültiger empfänger", "kein solcher benutzer", "keinen benutzer", "kein benutzer", "kein postfach", "keine mailbox", "adresse unbekannt", "adresse ist unbekannt", "adresse ungültig", "nicht im … verzeichnis", "nicht im verzeichnis", "postfach existiert", "postfach geschlossen", "postfach gelöscht", "konto gelöscht", "konto existiert", "konto geschlossen", "mailbox deaktiviert", "benutzer unbekannt", "unbekannter benutzer", "unbekannter empfänger", "empfänger unbekannt", "empfänger … unbekannt", "existiert nicht", "existieren nicht", "nicht gefunden", "nicht bekannt", "nicht ermittelt", "konto deaktiviert", "konto ist deaktiviert", "konto … geschlossen", "postfach … deaktiviert", "postfach … nicht verfügbar", "nicht mehr gültig", "unbekannte mailadresse", "unbekannte adresse", "ungültige empfänger",
    // French
    "utilisateur … inconnu", "utilisateur inexistant", "utilisateur non trouvé", "utilisateur invalide", "inconnu de", "inconnue de", "inconnu à", "inconnu sur", "inconnu dans", "destinataire inexistant", "destinataire non trouvé", "destinataire … invalide", "destinataire … inexistant", "destinataire n'est pas", "destinataire desactive", "adresse … invalide", "adresse inexistante", "adresse … inexistante", "adresse electronique … invalide", "adresse erronée", "adresse incorrecte", "boite aux lettres … inconnue", "boîte aux lettres … inconnue", "boite aux lettres inconnue", "boîte aux lettres inconnue", "boite aux lettres desactivee", "boîte aux lettres désactivée", "boite … desactivee", "boîte … désactivée", "boite fermee", "boîte fermée", "boîte inexistante", "boite inexistante", "compte inexistant", "compte … inexistant", "compte … inconnu", "compte fermé", "compte clôturé", "compte cloture", "compte supprimé", "compte … supprimé", "ne figure pas dans l'annuaire", "non répertorié dans", "non repertorie dans", "pas répertorié dans", "n'a pas été trouvé", "n'a pas ete trouve", "pas trouvé dans l'annuaire", "adresse … n'est plus valide", "adresse … n'est pas valide", "plus utilisée", "aucun utilisateur", "aucun destinataire", "aucune boîte", "utilisateur inconnu", "destinataire inconnu", "destinataire invalide", "destinataire … inconnu", "adresse inconnue", "adresse … inconnue", "adresse invalide", "boite inconnue", "boîte inconnue", "compte inconnu", "n'existe pas", "n'existe plus", "introuvable", "compte désactivé", "compte … désactivé", "compte inactif", "compte … résilié", "compte ferme",
    // Spanish, Portuguese, Italian
    "usuario no encontrado", "usuario no válido", "usuario inválido", "usuario inactivo", "en estado: inactivo", "destinatario inexistente", "destinatario no encontrado", "destinatario no válido", "destinatario inválido", "buzón no encontrado", "buzon no encontrado", "buzón … inexistente", "buzón deshabilitado", "cuenta no encontrada", "cuenta cerrada", "cuenta eliminada", "cuenta … eliminada", "cuenta inactiva", "casilla inexistente", "casilla ha expirado", "casilla … inexistente", "dirección desconocida", "dirección inexistente", "dirección de correo … no es válida", "no figura en el directorio", "no aparece en el directorio", "no hay ningún usuario", "usuário não encontrado", "usuario nao encontrado", "usuário inválido", "usuário inativo", "usuário … desconhecido", "destinatário não encontrado", "destinatário inválido", "destinatário … não encontrado", "caixa postal inexistente", "caixa postal inativa", "caixa postal … desativada", "conta encerrada", "conta cancelada", "conta inativa", "conta não encontrada", "endereço inexistente", "endereço inválido", "endereço … não encontrado", "não consta no diretório", "utente non trovato", "utente non valido", "utente … non trovato", "utente … inesistente", "nessun utente", "destinatario non trovato", "destinatario non valido", "destinatario errato", "destin. sconosciuto", "casella non trovata", "casella disattivata", "casella … disattivata", "mailbox disattivata", "account inesistente", "account disattivato", "indirizzo sconosciuto", "indirizzo non valido", "indirizzo … inesistente", "non è presente nella rubrica", "usuario desconocido", "usuario … desconocido", "destinatario desconocido", "no existe", "no se encontró", "no se encontro", "no se ha encontrado", "cuenta deshabilitada", "cuenta … deshabilitada", "cuenta desactivada", "cuenta … desactivada", "cuenta inexistente", "buzón inexistente", "dirección … no válida", "usuário desconhecido", "usuario desconhecido", "destinatário desconhecido", "destinatário inexistente", "usuário inexistente", "usuario inexistente", "não existe", "nao existe", "não foi encontrado", "conta desativada", "conta desabilitada", "conta inexistente", "conta … inativa", "utente sconosciuto", "utente … sconosciuto", "utente inesistente", "destinatario sconosciuto", "destinatario inesistente", "indirizzo inesistente", "casella inesistente", "casella … inesistente", "casella disabilitata", "non esiste", "non trovato", "account disabilitato",
    // Dutch, Swedish, Danish, Norwegian, Finnish
    "gebruiker bestaat", "gebruiker niet gevonden", "geen dergelijke gebruiker", "geen gebruiker", "ongeldige ontvanger", "ontvanger … niet gevonden", "adres bestaat niet", "adres onbekend", "onbekend adres", "onbekende geadresseerde", "mailbox bestaat niet", "postvak bestaat niet", "niet vermeld in … adresboek", "account bestaat niet", "account opgeheven", "gebruiker onbekend", "onbekende gebruiker", "ontvanger onbekend", "onbekende ontvanger", "bestaat niet", "niet gevonden", "niet bekend", "okänd användare", "okänd mottagare", "användaren finns inte", "finns inte", "hittades inte", "ukendt bruger", "ukendt modtager", "findes ikke", "ukjent bruker", "ukjent mottaker", "finnes ikke", "tuntematon", "ei löydy", "ei löytynyt", "ei ole olemassa",
    // Polish, Czech, Hungarian, Romanian, Turkish
    "nie ma takiego", "nie ma takiej", "nie znaleziono użytkownika", "nie odnaleziono", "brak takiego", "brak użytkownika", "brak konta", "brak skrzynki", "użytkownik nie istnieje", "adres nie istnieje", "konto nie istnieje", "konto nieaktywne", "konto … nieaktywne", "skrzynka nie istnieje", "skrzynka … nieaktywna", "nieprawidłowy adres", "nieprawidłowy odbiorca", "odbiorca nieznany", "kullanıcı bilinmiyor", "böyle bir kullanıcı", "kullanıcı mevcut", "geçersiz alıcı", "geçersiz adres", "geçersiz kullanıcı", "alıcı adresi bulunamadı", "alıcı mevcut", "posta kutusu bulunamadı", "posta kutusu mevcut", "adres bulunamadı", "hesap bulunamadı", "hesap kapatıl", "hesabı kapatıl", "nieznany użytkownik", "użytkownik nieznany", "nieznany adresat", "nieznany odbiorca", "nie istnieje", "nie znaleziono", "neznámý uživatel", "uživatel neexistuje", "neexistuje", "nebyl nalezen", "ismeretlen felhasználó", "nem létezik", "nem található", "utilizator necunoscut", "nu există", "kullanıcı bulunamadı", "bilinmeyen kullanıcı", "kullanıcı yok", "mevcut değil", "alıcı bulunamadı", "hesap … devre dışı",
    // Russian, Ukrainian, Greek
    "нет такого", "нет такой", "пользователя нет", "пользователь неизвестен", "неизвестный получатель", "получатель неизвестен", "неизвестный адрес", "адрес неизвестен", "неверный адрес", "недействительный адрес", "адресат неизвестен", "ящика не существует", "ящик … отключ", "ящик … удален", "ящик удален", "аккаунт удален", "учетная запись … удалена", "учетная запись удалена", "учётная запись отключена", "пользователь не найден", "пользователь … не найден", "неизвестный пользователь", "нет такого пользователя", "такого пользователя нет", "такого ящика", "адресат не найден", "получатель не найден", "не существует", "не найден", "не зарегистрирован", "ящик отключен", "учетная запись отключена", "аккаунт отключен", "несуществующ", "користувача не знайдено", "не існує", "άγνωστος χρήστης", "δεν υπάρχει", "δεν βρέθηκε",
    // Japanese, Chinese, Korean
    "宛先が不明", "宛先は不明", "宛先アドレスが不明", "宛先が存在", "宛先に誤り", "宛先が正しくありません", "宛先アドレスが正しくありません", "あて先が不明", "送信先のメールアドレスが見つかりません", "送信先アドレスが存在", "リストにありません", "ディレクトリにありません", "アドレス帳にありません", "登録されていません", "登録がありません", "該当するユーザー", "該当ユーザ", "該当者なし", "該当するアドレス", "ユーザーが見つからない", "ユーザが見つからない", "ユーザーは存在", "ユーザは存在", "ユーザーがいません", "ユーザがいません", "ユーザー不明", "ユーザー名が", "不明なユーザー", "不明な受信者", "受信者が不明", "受信者不明", "使われておりません", "使用されていません", "使用されておりません", "解約", "廃止", "閉鎖", "無効なアドレス", "無効なメールアドレス", "アドレスが間違", "アドレスに誤り", "アドレスが正しくありません", "用户未找到", "用户名不存在", "用户不在", "没有这个用户", "没有此用户", "没有该用户", "无此收件人", "无此邮箱", "无此帐号", "无此账号", "收件人地址无效", "收件人无效", "无效的收件人", "邮箱地址错误", "邮箱已停用", "邮箱已注销", "找不到用户", "找不到该用户", "找不到此", "無此使用者", "無此用戶", "無此帳號", "找不到收件者", "找不到使用者", "收件人不正確", "帳戶已停用", "사용자가 없", "사용자가 존재", "사용자 없음", "등록되지 않은", "없는 메일", "없는 주소", "없는 계정", "없는 이메일", "없는 아이디", "존재하지않", "탈퇴한", "잘못된 수신자", "유효하지 않은 수신", "수신자가 존재", "수신인을 찾을", "계정이 존재", "宛先不明", "あて先不明", "存在しません", "存在しない", "存在しておりません", "見つかりません", "見つかりませんでした", "ユーザーが不明", "ユーザ不明", "不明なユーザ", "利用されていません", "無効です", "宛先が見つからない", "用户不存在", "收件人不存在", "邮箱不存在", "地址不存在", "帐号不存在", "账号不存在", "帳號不存在", "使用者不存在", "收件者不存在", "信箱不存在", "不存在", "找不到收件人", "无此用户", "无效用户", "查无此人", "查無此", "未找到", "已停用", "被禁用", "已注销", "존재하지 않", "없는 사용자", "사용자를 찾을 수 없", "수신자를 찾을 수 없", "찾을 수 없", "알 수 없는 사용자", "휴면", "해지된",
    // Persian, Arabic, Hebrew
    "موجود نیست", "پیدا نشد", "کاربری با این", "گیرنده ناشناس", "گیرنده یافت", "گیرنده نامعتبر", "نشانی نامعتبر", "آدرس نامعتبر", "صندوق یافت", "حساب کاربری مسدود", "حساب بسته شده", "وجود ندارد", "یافت نشد", "کاربر ناشناس", "غیرفعال", "غير موجود", "غير معروف", "مستخدم غير", "לא קיים", "לא נמצא", "לא ידוע",
];

#[rustfmt::skip]
const TOO_LARGE: &[&str] = &[
    "message too large", "message is too large", "message too big", "message is too big", "too large", "too big", "message size exceeds", "message size", "message exceeds", "exceeds … size", "exceeds … limit", "exceeded … size", "size limit", "maximum size", "maximum message", "message length exceeds", "larger than", "file too big", "file size", "zu groß", "trop volumineux", "trop gros", "demasiado grande", "muito grande", "troppo grande", "te groot", "слишком большой", "サイズ", "过大", "過大",
];

/// Words of a refusal that name no recipient.
#[rustfmt::skip]
const VAGUELY_BLOCKED: &[&str] = &[
    "spam", "blocked", "policy", "policies", "not allowed", "not permitted", "not authorized", "unauthorized", "permission", "restricted", "restriction", "prohibited", "forbidden", "access not allowed", "filtered", "filter", "security", "access denied",
];

#[rustfmt::skip]
const REFUSED_ALONE: &[&str] = &[
    "attachment", "message refused", "message rejected", "message … rejected", "mail refused", "mail rejected", "delivery refused", "rejected by", "refused by", "not accepted", "volume", "connection rejected", "we do not accept", "not welcome", "abgelehnt", "rejeté", "refusé", "rechazado", "rejeitada", "rifiutato", "geweigerd", "отклонен", "отказано",
];

#[rustfmt::skip]
const TEMPORARY: &[&str] = &[
    "connection timed out", "operation timed out", "conversation with … timed out", "timed out", "time out", "timeout", "connection refused", "connection reset", "connection dropped", "connection closed", "connection failure", "connection failed", "connection was refused", "connection broken", "lost connection", "could not connect", "requests to connect", "socket error", "couldn't connect", "cannot connect", "can't connect", "unable to connect", "failed to connect", "network is unreachable", "network unreachable", "network error", "no route to host", "host unreachable", "host is unreachable", "host is down", "host down", "not responding", "did not respond", "no answer from host", "no response",
    "retry time", "retries exceeded", "too many retries", "message expired", "expired", "in the queue", "on the queue", "in queue", "gave up", "could not be delivered for", "delivery timeout", "hours", "delayed", "deferred", "server busy", "too busy", "mailbox busy", "mailbox is busy", "mailbox locked", "mailbox is locked", "locked", "system resources", "insufficient system", "resources", "service unavailable", "server unavailable", "service not available", "service is unavailable", "unavailable at this time", "currently unavailable", "not currently", "dns error", "dns failure", "dns problem", "dns lookup", "name server", "name service error", "lookup failure", "mail loop", "loops back", "loop detected", "routing loop", "too many hops", "hop count", "looping", "local error", "internal error", "i/o error", "system error", "out of memory", "tls", "starttls", "certificate", "read error", "cannot append", "unable to deliver at this time",
    "zeitüberschreitung", "verzögert", "nicht erreichbar", "délai", "délais", "injoignable", "tiempo de espera", "tempo limite", "tempo scaduto", "time-out", "время ожидания", "превышено время", "タイムアウト", "接続できません", "超时", "逾時", "连接失败", "无法连接", "시간 초과", "연결할 수 없",
];

#[cfg(test)]
mod tests {
    use super::super::phrases::{plain, says};
    use super::*;

    fn why(text: &str) -> Option<Why> {
        let text = plain(text);
        RULES.iter().find(|(_, phrases)| phrases.iter().any(|phrase| says(&text, phrase))).map(|(why, _)| *why)
    }

    #[test]
    fn each_phrase_is_found_in_a_sentence_and_no_rule_that_suppresses_goes_before_it() {
        let mut problems = Vec::new();
        for (at, (reason, phrases)) in RULES.iter().enumerate() {
            for phrase in *phrases {
                assert_eq!(*phrase, phrase.to_lowercase(), "{phrase}");
                let sentence = format!("550 <sara@example.com>: {} (x)", phrase.replace(" … ", " some thing "));
                let found = plain(&sentence);
                let dead = |why: Why| matches!(why, Why::Dead | Why::NoDomain);
                let first = RULES.iter().position(|(_, list)| list.iter().any(|other| says(&found, other)));
                let first = first.unwrap_or(RULES.len() - 1);
                if !says(&found, phrase) || first != at && dead(RULES[first].0) != dead(*reason) {
                    problems.push(format!("`{phrase}` is taken for {:?}: {found}", RULES[first].0));
                }
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn sentences_of_real_servers_have_their_reason() {
        let check = |text: &str, expected: Option<Why>| assert_eq!(why(text), expected, "{text}");
        check("The email account that you tried to reach does not exist.", Some(Why::Dead));
        check("The email account that you tried to reach is over quota.", Some(Why::Full));
        check("sorry, no mailbox here by that name. (#5.1.1)", Some(Why::Dead));
        check("dd This user doesn't have a example.com account (a@example.com) [-5]", Some(Why::Dead));
        check("Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", Some(Why::Blocked));
        check("Sender address rejected: User unknown", Some(Why::Blocked));
        check("Recipient address rejected: User unknown in virtual mailbox table", Some(Why::Dead));
        check("Greylisted, please try again later", Some(Why::Blocked));
        check("User unknown, try again later", Some(Why::Temporary));
        check("unknown user; your IP is on a blacklist", Some(Why::Blocked));
        check("connect to mx.example.com[192.0.2.1]:25: Connection timed out", Some(Why::Temporary));
        check("Host or domain name not found. Name service error for name=x.example type=A", Some(Why::NoDomain));
        check("Domain x.example does not accept mail (nullMX)", Some(Why::NoMail));
        check("550 5.1.1 You are not a member of this mailing list", Some(Why::Blocked));
        check("procmail: Couldn't create \"/var/mail/s\": user unknown?", Some(Why::Temporary));
        check("L'expéditeur est prié de vérifier : utilisateur inconnu", Some(Why::Dead));
        check("L'adresse de l'expéditeur n'existe pas", Some(Why::Blocked));
        check("宛先のアドレスは登録されていません", Some(Why::Dead));
        check("Ce destinataire ne figure pas dans l'annuaire", Some(Why::Dead));
        check("User s@example.com not listed in public Name & Address Book", Some(Why::Dead));
        check("Marble is a source", None);
    }
}
