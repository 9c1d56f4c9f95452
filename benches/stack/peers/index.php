<?php
// What the application's home page does: count the visit durably, read the newest five entries, show both.
$asked = hrtime(true);
try {
    $database = new PDO('mysql:{where};dbname=foobar;charset=utf8mb4', '{user}', '{password}', [
        PDO::ATTR_PERSISTENT => true,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
    $database->exec("UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE name = 'home'");
    $hits = $database->lastInsertId();
    $entries = $database->query('SELECT id, name, message, written_at, edited_at, owner FROM entries ORDER BY id DESC LIMIT 5')->fetchAll();
    $version = $database->getAttribute(PDO::ATTR_SERVER_VERSION);
} catch (PDOException $trouble) {
    header('HTTP/1.1 503 ' . $trouble->getMessage());
    exit;
}
$answered = hrtime(true);
$shown = fn($text) => nl2br(htmlspecialchars((string) $text));
$request = bin2hex(random_bytes(16));
// Kind, what spoke to it, title, name, address, what else is known: from the visitor to the data.
$path = [
    ['client', '', 'You', $_SERVER['REMOTE_ADDR'], '', 'asked for ' . $_SERVER['HTTP_HOST']],
    ['lookup', 'by you over DNS', 'Name lookup', $_SERVER['HTTP_HOST'], $_SERVER['SERVER_ADDR'], 'a name leads to an address'],
    ['web', 'by you over HTTP', 'Web server', $_SERVER['SERVER_SOFTWARE'], $_SERVER['SERVER_ADDR'] . ':' . $_SERVER['SERVER_PORT'], 'passed it on'],
    ['app', 'over FastCGI', 'Application server', 'PHP ' . PHP_VERSION . ', process ' . getmypid(), '', 'runs version 1 of the code base'],
    ['db', 'over SQL', 'Database', 'MariaDB ' . $version, '', 'a server of its own, which keeps the data'],
];
header('Cache-Control: no-store');
header(sprintf('Server-Timing: db;dur=%.3f', ($answered - $asked) / 1e6));
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Home – foobar.com</title>
  <link rel="icon" href="/favicon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/assets/style.css">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header class="site-header">
  <a href="/"><img src="/assets/logo.svg" alt="" width="32" height="32"> foobar.com</a>
  <nav aria-label="Pages">
    <a href="/" aria-current="page">Home</a>
    <a href="/guestbook">Guestbook</a>
    <a href="/about.html">About</a>
    <a href="/login">Log in</a>
  </nav>
</header>
<main id="content" tabindex="-1">
<h1>You found www.foobar.com</h1>
<p class="lead">You typed a name, and a page came back. No file holds it: it was made for you just now, by all that stands
below.</p>

<section class="stage" aria-labelledby="path">
  <h2 id="path">Who answered this very request</h2>
  <ol class="path" aria-labelledby="path">
<?php foreach ($path as [$kind, $over, $title, $name, $address, $more]): ?>
  <li class="<?= $kind ?>">
    <?php if ($over): ?><span class="over"><span class="unseen">reached <?= $over ?></span></span><?php endif ?>
    <svg class="icon" aria-hidden="true" width="28" height="28"><use href="/assets/icons.svg#<?= $kind ?>"/></svg>
    <b><?= $title ?></b>
    <span class="name"><bdi><?= $shown($name) ?></bdi></span>
    <?php if ($address): ?><code class="address"><?= $shown($address) ?></code><?php endif ?>
    <small><?= $shown($more) ?></small>
  </li>
<?php endforeach ?>
  </ol>
  <dl class="facts">
    <div><dt>Visit number</dt><dd><strong class="counter"><?= $hits ?></strong></dd></div>
    <div><dt>Request</dt><dd><code><?= $request ?></code></dd></div>
  </dl>
  <p class="muted small">Reload, and the number grows: the database counts. Web server and application write each request
  down by its first eight digits: <code>wwwlab logs</code>.</p>
</section>

<h2>Newest in the guestbook</h2>
<?php foreach ($entries as $entry): $written = intdiv($entry['written_at'], 1000); ?>
<article class="entry" id="entry-<?= $entry['id'] ?>">
  <header><h3 dir="auto"><?= $shown($entry['name']) ?></h3> <a href="/guestbook/<?= $entry['id'] ?>"><time datetime="<?= gmdate('Y-m-d\TH:i:s\Z', $written) ?>"><?= gmdate('Y-m-d H:i', $written) ?> UTC</time></a></header>
  <p dir="auto"><?= $shown($entry['message']) ?></p>
</article>
<?php endforeach ?>
<p><a class="button" href="/guestbook">Read and sign the guestbook</a></p>
</main>
<footer class="site-footer">
  <p>Made on the spot by version 1 of the application. foobar.com exists in this laboratory only.</p>
</footer>
</body>
</html>
