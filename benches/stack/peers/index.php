<?php
// What the application's home page does: count the visit durably, read the newest five entries, show both.
$asked = hrtime(true);
try {
    $database = new PDO('mysql:unix_socket={place}/db.sock;dbname=foobar;charset=utf8mb4', 'foobar', '', [
        PDO::ATTR_PERSISTENT => true,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
    $database->exec("UPDATE counters SET value = LAST_INSERT_ID(value + 1) WHERE name = 'home'");
    $hits = $database->lastInsertId();
    $entries = $database->query('SELECT id, name, message, written_at FROM entries ORDER BY id DESC LIMIT 5')->fetchAll();
    $version = $database->getAttribute(PDO::ATTR_SERVER_VERSION);
} catch (PDOException $trouble) {
    header('HTTP/1.1 503 ' . $trouble->getMessage());
    exit;
}
$answered = hrtime(true);
$shown = fn($text) => nl2br(htmlspecialchars($text));
header('Cache-Control: no-store');
header(sprintf('Server-Timing: db;dur=%.3f', ($answered - $asked) / 1e6));
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
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
  </nav>
</header>
<main id="content">
<h1>You found www.foobar.com</h1>
<p class="lead">You typed a name, and a page came back. This one was made for you just now: visit number
<strong class="counter"><?= $hits ?></strong>.</p>

<h2 id="path">Who answered this very request</h2>
<ol class="path" aria-labelledby="path">
  <li><b>You</b> <small><?= $shown($_SERVER['REMOTE_ADDR']) ?> asked for <?= $shown($_SERVER['HTTP_HOST']) ?></small></li>
  <li><b>Web server</b> <small><?= $shown($_SERVER['SERVER_SOFTWARE']) ?>, by <?= $shown($_SERVER['REQUEST_SCHEME']) ?></small></li>
  <li><b>Application server</b> <small>PHP <?= PHP_VERSION ?>, process <?= getmypid() ?></small></li>
  <li><b>Code base</b> <small>version 1</small></li>
  <li><b>Database</b> <small>MariaDB <?= $shown($version) ?></small></li>
</ol>

<h2>Newest in the guestbook</h2>
<?php foreach ($entries as $entry): $written = $entry['written_at']; ?>
<article class="entry" id="entry-<?= $entry['id'] ?>">
  <header><h3 dir="auto"><?= $shown($entry['name']) ?></h3> <time datetime="<?= str_replace(' ', 'T', $written) ?>Z"><?= substr($written, 0, 16) ?> UTC</time></header>
  <p dir="auto"><?= $shown($entry['message']) ?></p>
</article>
<?php endforeach ?>
<p><a class="button" href="/guestbook">Read and sign the guestbook</a></p>
</main>
<footer class="site-footer">
  <p>Made on the spot by version 1 of the application.</p>
</footer>
</body>
</html>
