# ページの文言（日本語）。どの言語にも、同じ変数をもつ同じ文言があります。

## 共通

skip-to-content = 本文へ移動
language-switch = 言語
help = お困りのときは
request-id = リクエスト番号 { $id }
error-title = エラー：{ $title }

## ログイン

login-title = ログイン
login-lead = { $brand } を利用するには、ログインしてください。
login-name = 内線番号またはメールアドレス
login-password = パスワード
login-submit = ログイン
login-forgot = パスワードをお忘れですか？
password-show = 表示
password-hide = 隠す
password-show-label = パスワードを表示する
password-hide-label = パスワードを隠す
notice-password-set = 新しいパスワードを設定しました。このパスワードでログインしてください。
notice-signed-out = ログアウトしました。
notice-session-ended = セッションが終了しました。もう一度ログインしてください。
notice-unlock-sent = この名前のアカウントがあり、専用のメールアドレスが登録されている場合は、リンクを記載したメールをお送りしています。お送りするのは 1 時間に 1 通までです。先ほど届いたメールがあれば、そのリンクをお使いください。
notice-unlocked = このブラウザーのロックを解除しました。パスワードでログインしてください。
login-unlock-title = ご本人ですか？
login-unlock-lead = ほかの誰かがパスワードを推測しようとしている可能性があります。終わるまでお待ちいただく必要はありません。このブラウザーのロックを解除するリンクを、登録されたメールアドレスにお送りできます。
login-unlock-submit = ロック解除のリンクを送信

## ブラウザーのロック解除

unlock-title = このブラウザーのロックを解除
unlock-lead = { $name } さん（内線 { $extension }）のアカウント
unlock-what = 解除すると、ほかの人による試行のためにこのブラウザーが止められることはなくなります。これだけではログインできません。パスワードは引き続き必要です。
unlock-submit = ロックを解除する
unlock-back = ログイン画面へ戻る
unlock-next = まだログインが止められている場合は、ログイン画面から新しいリンクを送信できます。

## 小さなウィンドウでログインしたあと

signed-in-title = ログインしました
signed-in-lead = このウィンドウは自動的に閉じます。閉じない場合は、ご自身で閉じて、元の画面に戻ってください。
signed-in-home = トップページへ移動する

## Web クライアントの画面に、スクリプトが表示するもの

script-ends = セッション終了まで
script-ended = セッションが終了しました。ログインすると、この画面のまま続けられます。
script-stay = ログインを続ける
script-sign-in = ログイン

## ログインしても元に戻ってしまうとき

problem-redirect-loop = ログインしても元の画面に戻ってしまいます
problem-redirect-loop-detail = 同じ移動が 3 回続いたため、ここで止めました。
circle-reasons = 考えられる原因と対処方法
circle-cookies = ブラウザーに Cookie が保存されていません。
circle-cookies-do = ブラウザーの設定でこのサイトの Cookie を許可してください。拡張機能を使わないプライベートウィンドウでもお試しください。
circle-between = 途中で Cookie が取り除かれています。
circle-between-do = セキュリティソフト、社内プロキシ、VPN などが原因のことがあります。別のネットワークで試し、管理者にお知らせください。
circle-clock = 時計がずれています。
circle-clock-do = このコンピューターの日付と時刻を自動設定にしてください。それでも変わらない場合は、サーバーの時計がずれている可能性があります。管理者にご確認ください。
circle-login = ログイン
circle-logout = ログアウトして最初からやり直す

## ログアウト

logout-title = ログアウトしますか？
logout-lead = { $name } さん（内線 { $extension }）としてログインしています。
logout-submit = ログアウト
logout-stay = ログインしたままにする
logout-account = アカウントとログイン中の端末

## アカウントのページ

account-title = アカウント
account-lead = { $name } さん（内線 { $extension }）
account-notice-password-changed = パスワードを変更しました。
account-notice-session-ended = 選択した端末からログアウトしました。
account-notice-others-ended = ほかのすべての端末からログアウトしました。
account-notice-language-set = 画面とメールの言語を変更しました。
account-me = 登録内容
account-name = 名前
account-extension = 内線番号
account-email = メールアドレス
account-no-email = 登録なし
account-me-hint = 内容に誤りがある場合は、管理者にお知らせください。
account-sessions = ログイン中の端末
account-device = { $knows ->
    [both] { $browser }（{ $system }）
    [browser] { $browser }
    [system] ブラウザー（{ $system }）
   *[nothing] 不明な端末
}
account-this-one = この端末
account-used = { $unit ->
    [minutes] { $count } 分前に使用
    [hours] { $count } 時間前に使用
    [days] { $count } 日前に使用
   *[now] たった今使用
}
account-since = { $unit ->
    [minutes] { $count } 分前にログイン
    [hours] { $count } 時間前にログイン
    [days] { $count } 日前にログイン
   *[now] たった今ログイン
}
account-end = ログアウト
account-end-label = { $device }（{ $address }）からログアウト
account-end-others = ほかのすべての端末からログアウト
account-end-all = すべての端末からログアウト
account-password = パスワードの変更
account-old-password = 現在のパスワード
account-keep-others = ほかの端末ではログインしたままにする
account-password-submit = パスワードを変更
account-language = 言語
account-language-label = 画面とメールの言語
account-language-submit = 保存
account-back = { $brand } に戻る
confirm-title = ご本人の確認
confirm-lead = パスワードの入力から { $minutes } 分以上たっています。この操作を続けるには、もう一度入力してください。
confirm-submit = 続ける
confirm-back = 何もせずに戻る

## パスワードを忘れたとき

forgot-title = パスワードをお忘れですか？
forgot-lead = メールアドレスを入力してください。新しいパスワードを設定するためのリンクをお送りします。
forgot-email = メールアドレス
forgot-submit = リンクを送信
forgot-back = ログインに戻る
sent-title = メールをご確認ください
sent-lead = このメールアドレスのアカウントがひとつだけある場合、リンクを記載したメールをお送りします。
sent-wait = 届くまで数分かかることがあります。迷惑メールフォルダーもご確認ください。使えるのは最新のリンクだけです。数分前に届いたリンクがあれば、それをお使いください。
sent-nothing = 届かない場合は、別のメールアドレスが登録されているか、登録がない可能性があります。管理者にお問い合わせください。

## パスワードの設定

set-title-welcome = ようこそ、{ $name } さん
set-title-reset = 新しいパスワードの設定
set-lead-welcome = 内線 { $extension } のパスワードを決めてください。次回からこのパスワードでログインします。
set-lead-reset = { $name } さん（内線 { $extension }）のパスワードを設定します。設定すると、ほかの端末からはログアウトされます。
set-password = 新しいパスワード
set-confirmation = パスワード（確認用）
set-submit = パスワードを設定
rules-title = よいパスワードの条件
rule-length = { $min } 文字以上
rule-guess = 推測されにくいこと（名前、よくあるパスワード、キーボードの並び順は避けてください）
rule-upper = 英大文字（A～Z）を含む
rule-lower = 英小文字（a～z）を含む
rule-digit = 数字（0～9）を含む
rule-special = 記号（! # - や空白など）を含む
rule-met = 満たしています
rule-words = 関連のない単語をいくつか並べる方法がおすすめです。空白や日本語も使えます
hint-more = あと { $n } 文字
hint-weak = 推測されやすいパスワードです
hint-fair = もう少し推測されにくくできます
hint-strong = 推測されにくいパスワードです
hint-own = お名前、番号、アドレスは使わないでください。
hint-run = キーボードの並び順、連番、繰り返しは避けてください。
hint-longer = 関連のない単語をもう少し足してみてください。
hint-match = 一致しています
hint-differ = 一致していません

## 使えないリンク

link-forgot = 新しいリンクを受け取る
link-login = ログインへ進む
link-next-reset = 新しいリンクをメールでお送りできます。
link-next-welcome = 管理者にご案内メールの再送を依頼するか、新しいリンクをメールで受け取ってください。
link-next-used = お心当たりがない場合は、管理者にお知らせください。

## 失敗

failure-retry = もう一度試す
failure-home = 最初のページへ
retry-in = { $unit ->
    [seconds] { $count } 秒後にもう一度お試しください。
    [minutes] 約 { $count } 分後、{ $at }以降にもう一度お試しください。
   *[hours] 約 { $count } 時間後、{ $at }以降にもう一度お試しください。
}

problem-malformed-request = リクエストを読み取れません
problem-malformed-request-detail = 内容が壊れているか、あいまいです。前のページに戻り、もう一度お試しください。
problem-forbidden = このページは開けません
problem-forbidden-detail = お使いのアカウントには権限がありません。
problem-banned = お使いのネットワークからは利用できません
problem-banned-detail = アクセスが制限されています。お心当たりのない場合は、管理者にお問い合わせください。
problem-unclear-credentials = 誰からのリクエストか判断できません
problem-unclear-credentials-detail = Authorization は一つだけ送ってください。このゲートウェイの API トークンを使うときは、セッションの Cookie を送らないでください。
problem-invalid-token = トークンが無効です
problem-invalid-token-detail = 期限切れか、取り消されたか、このゲートウェイのものではありません。管理者にご確認のうえ、新しいトークンを受け取ってください。
problem-insufficient-scope = このトークンでは利用できません
problem-insufficient-scope-detail = トークンは有効ですが、このメソッドとアドレスは対象外です。
problem-not-found = ページが見つかりません
problem-not-found-detail = アドレスが間違っているか、ページが移動した可能性があります。
problem-method-not-allowed = この操作はできません
problem-method-not-allowed-detail = このアドレスでは、この種類のリクエストを受け付けていません。
problem-request-timeout = 時間がかかりすぎました
problem-request-timeout-detail = 通信が遅い可能性があります。もう一度お試しください。
problem-body-too-large = データが大きすぎます
problem-body-too-large-detail = 送信されたデータは、このアドレスで受け付けられる大きさを超えています。
problem-address-too-long = アドレスが長すぎます
problem-address-too-long-detail = 短くして、もう一度お試しください。
problem-misdirected = アドレスが違います
problem-misdirected-detail = このサーバーは、アドレスバーに表示されている名前では応答しません。案内されたアドレスをお使いください。
problem-too-many-requests = リクエストが多すぎます
problem-too-many-requests-detail = { retry-in }
problem-head-too-large = リクエストが大きすぎます
problem-head-too-large-detail = ブラウザーでこのサイトの Cookie を削除すると、解決することがあります。
problem-internal = 問題が発生しました
problem-internal-detail = お客様の操作が原因ではありません。繰り返し起こる場合は、下のリクエスト番号を管理者にお伝えください。
problem-bad-gateway = サービスが応答しません
problem-bad-gateway-detail = 接続はできていますが、このページの先のサービスに届きません。しばらくしてからお試しください。
problem-unavailable = まもなく再開します
problem-unavailable-detail = サービスの一部に接続できません。{ retry-in }
problem-gateway-timeout = サービスの応答がありません
problem-gateway-timeout-detail = このページの先のサービスが時間内に応答しませんでした。しばらくしてからお試しください。
problem-sign-in-required = ログインしてください
problem-sign-in-required-detail = セッションがないか、終了しています。
problem-wrong-credentials = ログインできませんでした
problem-wrong-credentials-detail = 入力された名前またはパスワードが正しくありません。両方をお確かめのうえ、もう一度お試しください。
problem-throttled = 試行回数が多すぎます
problem-throttled-detail = 安全のため、しばらく受け付けを止めています。{ retry-in }
problem-busy = ただいま混み合っています
problem-busy-detail = { retry-in }
problem-foreign-origin = このサイトからの送信ではありません
problem-foreign-origin-detail = ほかのサイトから送信されたため、何も行いませんでした。このサイトでページを開き、もう一度お試しください。
problem-stale-form = もう一度送信してください
problem-stale-form-detail = ページを長い時間開いていたか、ブラウザーに Cookie が保存されませんでした。まだ何も行われていません。
problem-unsupported-media-type = この形式のデータは読み取れません
problem-unsupported-media-type-detail = フォーム、または JSON（application/json）で送信してください。
problem-not-acceptable = これは画面表示用のページです
problem-not-acceptable-detail = ここから取得できる JSON はありません。このアドレスに JSON を POST してください。
problem-invalid-fields = データの形式が違います
problem-invalid-fields-detail = 決められたキーを一度ずつ使い、値をすべて文字列にした JSON オブジェクトを送信してください。
problem-not-an-address = メールアドレスではありません
problem-not-an-address-detail = name@example.com のようなアドレスをひとつ入力してください。
problem-link-missing = メールのリンクを開いてください
problem-link-missing-detail = パスワードを設定するには、届いたメールのリンクを開いてください。リンクは一度だけ使えます。
problem-unlock-dead = このリンクは使えません
problem-unlock-dead-detail = リンクは 1 回だけ、1 時間以内に使えます。有効なのは最新のリンクだけです。
problem-link-unknown = このリンクは使えません
problem-link-unknown-detail = コピーの際に途中で切れたか、古いリンクの可能性があります。
problem-link-expired = リンクの有効期限が切れています
problem-link-expired-detail = アカウントを守るため、リンクには有効期限があります。
problem-link-used = このリンクは使用済みです
problem-link-used-detail = このリンクでパスワードが設定されました。リンクは一度だけ使えます。
problem-link-replaced = 新しいリンクがあります
problem-link-replaced-detail = 使えるのは最新のリンクだけです。あとから届いたメールをご確認ください。
problem-link-overtaken = このリンクはもう必要ありません
problem-link-overtaken-detail = その後、パスワードが設定されました。そのパスワードでログインするか、ご存じない場合は新しいリンクをお受け取りください。
problem-confirmation-required = もう一度パスワードが必要です
problem-confirmation-required-detail = 前回の入力から時間がたっています。password を付けて送信してください。
problem-wrong-password = パスワードが違います
problem-wrong-password-detail = お確かめのうえ、もう一度お試しください。何も変更されていません。
problem-no-such-session = その端末はすでにログアウトしています
problem-no-such-session-detail = ちょうどログアウトされた可能性があります。下の一覧は最新の状態です。
problem-passwords-differ = パスワードが一致しません
problem-passwords-differ-detail = 両方の欄に同じパスワードを入力してください。
problem-same-password = 現在のパスワードと同じです
problem-same-password-detail = 現在のものとは異なるパスワードを入力してください。
problem-weak-too-short = パスワードが短すぎます
problem-weak-too-short-detail = { $min } 文字以上にしてください。
problem-weak-too-long = パスワードが長すぎます
problem-weak-too-long-detail = { $max } 文字以内にしてください。
problem-weak-personal = お名前などに近すぎます
problem-weak-personal-detail = お名前、内線番号、メールアドレス、このサイトの名前は使わないでください。
problem-weak-common = よく使われるパスワードです
problem-weak-common-detail = 攻撃者が最初に試す一覧に載っています。別のものにしてください。
problem-weak-pattern = 規則的なパスワードです
problem-weak-pattern-detail = キーボードの並び順、連番、繰り返しは避けてください。
problem-weak-no-upper = 英大文字がありません
problem-weak-no-upper-detail = 英大文字（A～Z）を入れてください。
problem-weak-no-lower = 英小文字がありません
problem-weak-no-lower-detail = 英小文字（a～z）を入れてください。
problem-weak-no-digit = 数字がありません
problem-weak-no-digit-detail = 数字（0～9）を入れてください。
problem-weak-no-special = 記号がありません
problem-weak-no-special-detail = 記号（! # - や空白など）を入れてください。
problem-weak-guessable = 推測されやすいパスワードです
problem-weak-guessable-detail = もう少し長くしてください。関連のない単語をいくつか並べるのがおすすめです。
