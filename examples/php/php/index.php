<?php
// A guestbook in PHP: one script for every page, PDO for the database.
//
// The web server tells of each request by FastCGI ($_SERVER, $_POST). The lab says in the environment where the
// database is (DATABASE_FILE). What goes wrong is in the web server's log: `wwwlab logs web`.
declare(strict_types=1);

function database(): PDO
{
    $database = new PDO('sqlite:' . getenv('DATABASE_FILE'));
    $database->setAttribute(PDO::ATTR_TIMEOUT, 1); // seconds to wait for a lock
    $database->exec('CREATE TABLE IF NOT EXISTS example (id INTEGER PRIMARY KEY, name TEXT, message TEXT)');
    return $database;
}

function home(): void
{
    $entries = database()->query('SELECT name, message FROM example ORDER BY id DESC LIMIT 20')->fetchAll();
    echo '<!doctype html><html lang="en"><meta charset="utf-8"><title>Guestbook in PHP</title>',
        '<h1>Guestbook in PHP ', PHP_VERSION, '</h1>',
        '<form method="post" action="/sign"><label>Name <input name="name" required maxlength="80"></label> ',
        '<label>Message <input name="message" required maxlength="1000"></label> <button>Sign</button></form><ul>';
    foreach ($entries as $entry) {
        echo '<li><b>', htmlspecialchars($entry['name']), '</b>: ', htmlspecialchars($entry['message']), '</li>';
    }
    echo '</ul>';
}

function sign(): void
{
    $name = trim((string) ($_POST['name'] ?? ''));
    $message = trim((string) ($_POST['message'] ?? ''));
    if ($name === '' || strlen($name) > 320 || $message === '' || strlen($message) > 4000) {
        http_response_code(422);
        echo '<p>A name of 1 to 80 characters and a message of 1 to 1000, please.';
        return;
    }
    database()->prepare('INSERT INTO example (name, message) VALUES (?, ?)')->execute([$name, $message]);
    header('Location: /', true, 303);
}

function echoed(): void
{
    // How it looks from here: who asked, and how much was sent.
    header('Content-Type: text/plain');
    foreach (['REQUEST_METHOD', 'REQUEST_URI', 'REMOTE_ADDR', 'SERVER_NAME', 'QUERY_STRING'] as $name) {
        echo $name, '=', $_SERVER[$name] ?? '', "\n";
    }
    echo 'BODY=', md5_file('php://input'), "\n";
}

try {
    match ($_SERVER['REQUEST_METHOD'] . ' ' . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
        'GET /' => home(),
        'POST /sign' => sign(),
        'GET /echo', 'POST /echo' => echoed(),
        default => http_response_code(404) && print '<p>There is no such page.',
    };
} catch (PDOException $error) {
    error_log('the database: ' . $error->getMessage());
    http_response_code(503);
    header('Retry-After: 1');
    echo '<p>The database does not answer.';
}
