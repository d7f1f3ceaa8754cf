(async () => {
  const { puzzle, bits, cookie, path, seconds } = document.body.dataset;
  const status = document.getElementById("status");
  if (!navigator.cookieEnabled) return (status.textContent = "Please allow cookies for this page and load it again.");
  if (!globalThis.crypto || !crypto.subtle) return (status.textContent = "The calculation needs a secure connection (https).");
  const encoder = new TextEncoder();
  const zeros = (hash) => {
    const view = new DataView(hash);
    return view.getUint32(0) ? Math.clz32(view.getUint32(0)) : 32 + Math.clz32(view.getUint32(4));
  };
  const batch = 512;
  for (let begin = 0; ; begin += batch) {
    const texts = Array.from({ length: batch }, (_, at) => puzzle + "." + (begin + at));
    const hashes = await Promise.all(texts.map((text) => crypto.subtle.digest("SHA-256", encoder.encode(text))));
    const found = hashes.findIndex((hash) => zeros(hash) >= bits);
    if (found >= 0) {
      const secure = location.protocol === "https:" ? "; secure" : "";
      document.cookie = cookie + "=" + texts[found] + "; path=" + path + "; max-age=" + seconds + "; samesite=strict" + secure;
      return location.reload();
    }
  }
})();
