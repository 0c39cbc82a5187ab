//! What people read on the pages and in their mail, in both languages. Written out here rather than taken from the
//! product, so that a text which is missing, mixed up or in the wrong language is noticed.

/// The words of one language; each is a part of what is shown.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The language, as pages and browsers name it.
    pub language: &'static str,
    /// Somebody's name, as it is written in this language.
    pub somebody: &'static str,
    /// Title of the login page.
    pub login: &'static str,
    /// The name or password is wrong.
    pub wrong: &'static str,
    /// Too many attempts.
    pub throttled: &'static str,
    /// After a link was asked for that unlocks the browser.
    pub unlock_sent: &'static str,
    /// In the subject of the letter with that link.
    pub unlock_letter: &'static str,
    /// Title of the page behind it.
    pub unlock: &'static str,
    /// After it was used.
    pub unlocked: &'static str,
    /// After a password was set.
    pub password_set: &'static str,
    /// After signing out.
    pub signed_out: &'static str,
    /// After the session was ended from elsewhere.
    pub session_ended: &'static str,
    /// Title of the page that asks whether to sign out.
    pub sign_out: &'static str,
    /// Greets a new person on the page that sets the first password.
    pub welcome: &'static str,
    /// Title of the page that sets another password.
    pub reset: &'static str,
    /// A password that is too short.
    pub too_short: &'static str,
    /// A password everybody tries.
    pub common: &'static str,
    /// Two passwords that are not the same.
    pub differ: &'static str,
    /// A script's hint while typing: long and hard to guess.
    pub enough: &'static str,
    /// A script's hint while typing: both are the same.
    pub same: &'static str,
    /// Title of the answer to everybody who forgot a password.
    pub sent: &'static str,
    /// A link that was used.
    pub used: &'static str,
    /// A link whose time is over.
    pub expired: &'static str,
    /// A link with a newer one after it.
    pub replaced: &'static str,
    /// A link that never was.
    pub unknown: &'static str,
    /// In the subject of the Welcome letter.
    pub welcome_letter: &'static str,
    /// In the subject of the letter with a link to set another password.
    pub reset_letter: &'static str,
    /// In the subject of the letter after a password was changed.
    pub changed_letter: &'static str,
    /// Title of the person's own page.
    pub account: &'static str,
    /// Beside the session that looks at the page.
    pub this_one: &'static str,
    /// A password given again that is wrong.
    pub not_your_password: &'static str,
    /// After the password was changed on the own page.
    pub password_changed: &'static str,
    /// After all other sessions were ended.
    pub others_ended: &'static str,
    /// Title of the page about redirects in a circle.
    pub circle: &'static str,
    /// Before the end of a session, on a page of the web client.
    pub ends: &'static str,
    /// After it.
    pub ended: &'static str,
    /// What puts the end off.
    pub stay: &'static str,
    /// Title of the page that asks for the password again.
    pub confirm: &'static str,
}

/// English.
pub const ENGLISH: Words = Words {
    language: "en",
    somebody: "Emma Clarke",
    login: "Sign in",
    wrong: "That did not work",
    throttled: "Too many attempts",
    unlock_sent: "a mail with a link is on its way",
    unlock_letter: "Unlock your browser",
    unlock: "Unlock this browser",
    unlocked: "This browser is unlocked",
    password_set: "Your new password is set",
    signed_out: "You are signed out",
    session_ended: "Your session has ended",
    sign_out: "Sign out?",
    welcome: "Welcome, Emma Clarke",
    reset: "Set a new password",
    too_short: "The password is too short",
    common: "This is a common password",
    differ: "The two passwords differ",
    enough: "Hard to guess",
    same: "Both are the same",
    sent: "Check your mail",
    used: "This link has been used",
    expired: "This link has expired",
    replaced: "There is a newer link",
    unknown: "This link does not work",
    welcome_letter: "Set your password",
    reset_letter: "Set a new password",
    changed_letter: "password was changed",
    account: "Your account",
    this_one: "This one",
    not_your_password: "That is not your password",
    password_changed: "Your password is changed",
    others_ended: "All other devices are signed out",
    circle: "Signing in leads back to where it began",
    ends: "Your session ends in",
    ended: "Your session has ended.",
    stay: "Stay signed in",
    confirm: "Is it you?",
};

/// Japanese.
pub const JAPANESE: Words = Words {
    language: "ja",
    somebody: "佐藤 愛子",
    login: "ログイン",
    wrong: "ログインできませんでした",
    throttled: "試行回数が多すぎます",
    unlock_sent: "リンクを記載したメールをお送りしています",
    unlock_letter: "ブラウザーのロック解除",
    unlock: "このブラウザーのロックを解除",
    unlocked: "このブラウザーのロックを解除しました",
    password_set: "新しいパスワードを設定しました",
    signed_out: "ログアウトしました",
    session_ended: "セッションが終了しました",
    sign_out: "ログアウトしますか？",
    welcome: "ようこそ、佐藤 愛子 さん",
    reset: "新しいパスワードの設定",
    too_short: "パスワードが短すぎます",
    common: "よく使われるパスワードです",
    differ: "パスワードが一致しません",
    enough: "推測されにくいパスワードです",
    same: "一致しています",
    sent: "メールをご確認ください",
    used: "このリンクは使用済みです",
    expired: "リンクの有効期限が切れています",
    replaced: "新しいリンクがあります",
    unknown: "このリンクは使えません",
    welcome_letter: "パスワードの設定",
    reset_letter: "パスワードの再設定",
    changed_letter: "パスワードが変更されました",
    account: "アカウント",
    this_one: "この端末",
    not_your_password: "パスワードが違います",
    password_changed: "パスワードを変更しました",
    others_ended: "ほかのすべての端末からログアウトしました",
    circle: "ログインしても元の画面に戻ってしまいます",
    ends: "セッション終了まで",
    ended: "セッションが終了しました。",
    stay: "ログインを続ける",
    confirm: "ご本人の確認",
};
