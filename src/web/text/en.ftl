# What the pages say, in English. Every language has the same messages with the same variables.

## Everywhere

skip-to-content = Skip to content
language-switch = Language
help = Need help?
request-id = Request { $id }
error-title = Error: { $title }

## Signing in

login-title = Sign in
login-lead = Sign in to use { $brand }.
login-name = Extension number or email
login-password = Password
login-submit = Sign in
login-forgot = Forgot your password?
password-show = Show
password-hide = Hide
password-show-label = Show password
password-hide-label = Hide password
notice-password-set = Your new password is set. Sign in with it.
notice-signed-out = You are signed out.
notice-session-ended = Your session has ended. Please sign in again.
notice-unlock-sent = If an account has this name and an email address of its own, a mail with a link is on its way. At most one is sent in an hour: if one came a short while ago, use that one.
notice-unlocked = This browser is unlocked. Sign in with your password.
login-unlock-title = Is this your account?
login-unlock-lead = Somebody may be guessing your password. You need not wait for that to end: have a link sent to your email address that unlocks this browser.
login-unlock-submit = Send me an unlock link

## Unlocking this browser

unlock-title = Unlock this browser
unlock-lead = For { $name }, extension { $extension }.
unlock-what = What others try at your account will not hold up this browser any more. Nobody is signed in by this: you still need your password.
unlock-submit = Unlock this browser
unlock-back = Back to sign-in
unlock-next = If you are still stopped, you can ask for a new link on the sign-in page.

## After signing in in a small window

signed-in-title = You are signed in
signed-in-lead = This window closes by itself. If it stays open, close it and go on where you were.
signed-in-home = Go to the start page instead

## On pages of the web client, by our script

script-ends = Your session ends in
script-ended = Your session has ended. Sign in to go on where you are.
script-stay = Stay signed in
script-sign-in = Sign in

## When signing in leads in a circle

problem-redirect-loop = Signing in leads back to where it began
problem-redirect-loop-detail = Your browser was sent the same way three times in a row. It stops here, so that you are not sent on for ever.
circle-reasons = Possible reasons, and what to do
circle-cookies = Your browser does not keep the cookie.
circle-cookies-do = Allow cookies for this site in the browser's settings, and try it once in a private window without extensions.
circle-between = Something between your browser and here removes the cookie.
circle-between-do = It may be a security program, a company proxy or a VPN. Try another network, and tell your administrator.
circle-clock = A clock is wrong.
circle-clock-do = Set the date and time of this computer automatically. If that changes nothing, a server's clock may be wrong: your administrator can check.
circle-login = Sign in
circle-logout = Sign out and begin anew

## Signing out

logout-title = Sign out?
logout-lead = You are signed in as { $name } (extension { $extension }).
logout-submit = Sign out
logout-stay = Stay signed in
logout-account = Your account and devices

## The person's own page

account-title = Your account
account-lead = { $name }, extension { $extension }
account-notice-password-changed = Your password is changed.
account-notice-session-ended = That device is signed out.
account-notice-others-ended = All other devices are signed out.
account-notice-language-set = Pages and letters speak this language now.
account-me = About you
account-name = Name
account-extension = Extension
account-email = Email
account-no-email = None
account-me-hint = Something wrong here? Your administrator can change it.
account-sessions = Where you are signed in
account-device = { $knows ->
    [both] { $browser } on { $system }
    [browser] { $browser }
    [system] A browser on { $system }
   *[nothing] An unknown device
}
account-this-one = This one
account-used = { $unit ->
    [minutes] last used { $count } minutes ago
    [hours] last used { $count } hours ago
    [days] last used { $count } days ago
   *[now] used just now
}
account-since = { $unit ->
    [minutes] signed in { $count } minutes ago
    [hours] signed in { $count } hours ago
    [days] signed in { $count } days ago
   *[now] signed in just now
}
account-end = Sign out
account-end-label = Sign out { $device }, { $address }
account-end-others = Sign out all other devices
account-end-all = Sign out everywhere
account-password = Change password
account-old-password = Current password
account-keep-others = Keep my other devices signed in
account-password-submit = Change password
account-language = Language
account-language-label = Language of pages and letters
account-language-submit = Save
account-back = Back to { $brand }
confirm-title = Is it you?
confirm-lead = { $minutes ->
    [one] You gave your password more than a minute ago. For this step, enter it once more.
   *[other] You gave your password more than { $minutes } minutes ago. For this step, enter it once more.
}
confirm-submit = Continue
confirm-back = Back without doing anything

## Forgot password

forgot-title = Forgot your password?
forgot-lead = Enter your email address and we will send you a link to set a new one.
forgot-email = Email address
forgot-submit = Send link
forgot-back = Back to sign-in
sent-title = Check your mail
sent-lead = If exactly one account has this address, a mail with a link is on its way.
sent-wait = It can take a few minutes. Look in your spam folder, too. Only the newest link works; if one came a few minutes ago, use that one.
sent-nothing = No mail? Your account may have another address, or none: ask your administrator.

## Setting a password

set-title-welcome = Welcome, { $name }
set-title-reset = Set a new password
set-lead-welcome = Choose a password for extension { $extension }. You will sign in with it from now on.
set-lead-reset = For { $name }, extension { $extension }. You will be signed out everywhere else.
set-password = New password
set-confirmation = Confirm password
set-submit = Set password
rules-title = A good password
rule-length = has at least { $min } characters
rule-guess = is hard to guess: no names, no common passwords, no runs on the keyboard
rule-upper = has an upper-case letter (A to Z)
rule-lower = has a lower-case letter (a to z)
rule-digit = has a digit (0 to 9)
rule-special = has a special character, such as ! # - or a blank
rule-met = done
rule-words = can be a few unrelated words; blanks and any script are welcome
hint-more = { $n } more to go
hint-weak = Easy to guess
hint-fair = Could be harder to guess
hint-strong = Hard to guess
hint-own = Leave out your name, number and address.
hint-run = Avoid runs on the keyboard, sequences and repetitions.
hint-longer = Add a few more unrelated words.
hint-match = Both are the same
hint-differ = The two differ

## Links that do not work

link-forgot = Get a new link
link-login = Go to sign-in
link-next-reset = You can have a new link sent to your email address.
link-next-welcome = Ask your administrator for a new Welcome mail, or have a link sent to your email address.
link-next-used = If it was not you who used it, tell your administrator.

## Failures

failure-retry = Try again
failure-home = Go to the start page
retry-in = { $unit ->
    [seconds] { $count ->
        [one] Try again in one second.
       *[other] Try again in { $count } seconds.
    }
    [minutes] { $count ->
        [one] Try again in about one minute, at { $at }.
       *[other] Try again in about { $count } minutes, at { $at }.
    }
   *[hours] { $count ->
        [one] Try again in about one hour, at { $at }.
       *[other] Try again in about { $count } hours, at { $at }.
    }
}

problem-malformed-request = The request cannot be read
problem-malformed-request-detail = Something in it is broken or ambiguous. Go back and try again.
problem-forbidden = You may not open this page
problem-forbidden-detail = Your account has no access to it.
problem-banned = Access from your network is blocked
problem-banned-detail = If you think that this is a mistake, please ask whoever runs this service.
problem-unclear-credentials = Who is asking cannot be told
problem-unclear-credentials-detail = Send one Authorization field, and with an API token of this gateway no session cookie.
problem-invalid-token = The token is not valid
problem-invalid-token-detail = It has expired, was revoked or is none of this gateway's. Whoever runs the gateway can tell, and make another.
problem-insufficient-scope = The token is not for this
problem-insufficient-scope-detail = It is valid, but not for this method and address.
problem-not-found = There is nothing here
problem-not-found-detail = The address may be mistyped, or the page has moved.
problem-method-not-allowed = This does not work here
problem-method-not-allowed-detail = The address exists, but does not take this kind of request.
problem-request-timeout = The request took too long
problem-request-timeout-detail = Your connection may be slow. Try again.
problem-body-too-large = That is too much at once
problem-body-too-large-detail = What was sent is larger than this address takes.
problem-address-too-long = The address is too long
problem-address-too-long-detail = Shorten it and try again.
problem-misdirected = Wrong address
problem-misdirected-detail = This server does not answer under the name in your address bar. Use the address you were given.
problem-too-many-requests = Too many requests
problem-too-many-requests-detail = { retry-in }
problem-head-too-large = The request is too large
problem-head-too-large-detail = Clearing this site’s cookies in your browser may help.
problem-internal = Something went wrong
problem-internal-detail = It is not your fault. If it happens again, tell your administrator the request number below.
problem-bad-gateway = The web client does not answer
problem-bad-gateway-detail = You are connected, but the service behind this page cannot be reached. Try again in a moment.
problem-unavailable = We will be right back
problem-unavailable-detail = Part of the service cannot be reached at the moment. { retry-in }
problem-gateway-timeout = The web client takes too long
problem-gateway-timeout-detail = The service behind this page did not answer in time. Try again in a moment.
problem-sign-in-required = Please sign in
problem-sign-in-required-detail = This needs a session, and there is none or it has ended.
problem-wrong-credentials = That did not work
problem-wrong-credentials-detail = The name or the password is not right. Check both and try again.
problem-throttled = Too many attempts
problem-throttled-detail = For safety, there is a short break now. { retry-in }
problem-busy = A lot is going on right now
problem-busy-detail = { retry-in }
problem-foreign-origin = Not sent from this site
problem-foreign-origin-detail = The request came from another site, so nothing was done. Open the page here and try again.
problem-stale-form = Please send it once more
problem-stale-form-detail = This page had been open for a long time, or your browser did not keep its cookie. Nothing was done yet.
problem-unsupported-media-type = This kind of data is not read here
problem-unsupported-media-type-detail = Send a form, or JSON as application/json.
problem-not-acceptable = This is a page for people
problem-not-acceptable-detail = There is no JSON to get here. Post JSON to this address instead.
problem-invalid-fields = The data is not as expected
problem-invalid-fields-detail = Send a JSON object with exactly the documented keys, once each, and texts as values.
problem-not-an-address = That is no email address
problem-not-an-address-detail = Enter one address such as name@example.com.
problem-link-missing = Open the link in your mail
problem-link-missing-detail = To set a password, open the link from the mail you received. Each link works only once.
problem-unlock-dead = This link does not work
problem-unlock-dead-detail = It works once, for an hour, and only the newest one does.
problem-link-unknown = This link does not work
problem-link-unknown-detail = It may have been cut off when it was copied, or it is very old.
problem-link-expired = This link has expired
problem-link-expired-detail = Links work for a limited time, to keep your account safe.
problem-link-used = This link has been used
problem-link-used-detail = A password was set with it, and a link works only once.
problem-link-replaced = There is a newer link
problem-link-replaced-detail = Only the newest link works. Look for a later mail in your inbox.
problem-link-overtaken = This link is not needed any more
problem-link-overtaken-detail = A password has been set in the meantime. Sign in with it, or get a new link if you do not know it.
problem-confirmation-required = Your password is needed once more
problem-confirmation-required-detail = You gave it some time ago. Send it along as password.
problem-wrong-password = That is not your password
problem-wrong-password-detail = Check it and try again. Nothing was changed.
problem-no-such-session = That device is not signed in any more
problem-no-such-session-detail = It may have been signed out just now. The list below is up to date.
problem-passwords-differ = The two passwords differ
problem-passwords-differ-detail = Type the same password in both fields.
problem-same-password = That is the password you have
problem-same-password-detail = Choose a new password that differs from the present one.
problem-weak-too-short = The password is too short
problem-weak-too-short-detail = Use at least { $min } characters.
problem-weak-too-long = The password is too long
problem-weak-too-long-detail = Use at most { $max } characters.
problem-weak-personal = Too close to your own name
problem-weak-personal-detail = Leave out your name, extension number, email address and the name of this site.
problem-weak-common = This is a common password
problem-weak-common-detail = It is on the lists that attackers try first. Choose another.
problem-weak-pattern = This follows a pattern
problem-weak-pattern-detail = Avoid runs on the keyboard, sequences and repetitions.
problem-weak-no-upper = An upper-case letter is missing
problem-weak-no-upper-detail = Add an upper-case letter (A to Z).
problem-weak-no-lower = A lower-case letter is missing
problem-weak-no-lower-detail = Add a lower-case letter (a to z).
problem-weak-no-digit = A digit is missing
problem-weak-no-digit-detail = Add a digit (0 to 9).
problem-weak-no-special = A special character is missing
problem-weak-no-special-detail = Add a special character, such as ! # - or a blank.
problem-weak-guessable = This is too easy to guess
problem-weak-guessable-detail = Make it longer; a few unrelated words work well.
