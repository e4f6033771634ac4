/* Does what no client can do without: receives each reply, decodes its base64, hashes, writes and renames.

       c_limit PORT IMAGES FOLDER

   One connection, one thread, one buffer, nothing checked but the alphabet of the base64. SHA-256 is that of OpenSSL,
   which Python uses, too. Exits with 3 where OpenSSL is missing. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define BUFFER_BYTES (1 << 23)

typedef unsigned char *(*Sha256)(const unsigned char *, size_t, unsigned char *);

static const char REQUEST[] =
    "POST /v1beta/models/gemini-nano-banana-2.1:generateContent HTTP/1.1\r\n"
    "Host: replay\r\nContent-Length: 2\r\n\r\n{}";
static const char NAME[] = "\"data\":\"";
static unsigned char values[256];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void fill_values(void) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(values, 255, sizeof values);
    for (int i = 0; i < 64; i++) values[(unsigned char)alphabet[i]] = (unsigned char)i;
}

#if defined(__x86_64__)
/* Sixteen characters become twelve bytes. Returns how many characters it decoded. */
__attribute__((target("avx2"))) static size_t decode_blocks(const unsigned char *from, size_t length,
                                                            unsigned char *to) {
    const __m256i low_lut = _mm256_setr_epi8(21, 17, 17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26, 21, 17,
                                             17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26);
    const __m256i high_lut = _mm256_setr_epi8(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 1, 2,
                                              4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16);
    const __m256i roll_lut = _mm256_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 19, 4,
                                              -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i pack = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6, 5, 4, 10,
                                          9, 8, 14, 13, 12, -1, -1, -1, -1);
    const __m256i slash = _mm256_set1_epi8(0x2f);
    size_t done = 0;
    for (; length - done >= 64; done += 32) {
        __m256i text = _mm256_loadu_si256((const __m256i *)(from + done));
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), slash);
        __m256i low = _mm256_and_si256(text, slash);
        __m256i wrong = _mm256_and_si256(_mm256_shuffle_epi8(low_lut, low), _mm256_shuffle_epi8(high_lut, high));
        if (!_mm256_testz_si256(wrong, wrong)) break;
        __m256i roll = _mm256_shuffle_epi8(roll_lut, _mm256_add_epi8(_mm256_cmpeq_epi8(text, slash), high));
        __m256i sextets = _mm256_add_epi8(text, roll);
        __m256i pairs = _mm256_maddubs_epi16(sextets, _mm256_set1_epi32(0x01400140));
        __m256i packed = _mm256_shuffle_epi8(_mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000)), pack);
        _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(packed));
        _mm_storeu_si128((__m128i *)(to + 12), _mm256_extracti128_si256(packed, 1));
        to += 24;
    }
    return done;
}
#endif

static size_t decode(const unsigned char *from, size_t length, unsigned char *to) {
    unsigned char *start = to;
    while (length && from[length - 1] == '=') length--;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        size_t done = decode_blocks(from, length, to);
        from += done, length -= done, to += done / 4 * 3;
    }
#endif
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < length; i++) {
        if (values[from[i]] > 63) fail("base64");
        bits = bits << 6 | values[from[i]];
        if ((held += 6) >= 8) *to++ = (unsigned char)(bits >> (held -= 8));
    }
    return (size_t)(to - start);
}

static unsigned char *receive(int connection, unsigned char *buffer, size_t *length) {
    size_t got = 0, ends = 0;
    unsigned char *body = NULL;
    while (!ends || got < ends) {
        ssize_t count = recv(connection, buffer + got, BUFFER_BYTES - got, 0);
        if (count <= 0) fail("recv");
        got += (size_t)count;
        if (!ends && (body = memmem(buffer, got, "\r\n\r\n", 4))) {
            unsigned char *stated = memmem(buffer, got, "Content-Length: ", 16);
            if (!stated) fail("Content-Length");
            body += 4;
            ends = (size_t)(body - buffer) + strtoul((char *)stated + 16, NULL, 10);
        }
    }
    *length = ends - (size_t)(body - buffer);
    return body;
}

static void save(const char *folder, int number, const unsigned char *data, size_t length) {
    char part[4096], name[4096];
    snprintf(part, sizeof part, "%s/%d.part", folder, number);
    snprintf(name, sizeof name, "%s/%d.png", folder, number);
    int file = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0) fail(part);
    for (size_t done = 0; done < length;) {
        ssize_t count = write(file, data + done, length - done);
        if (count <= 0) fail("write");
        done += (size_t)count;
    }
    close(file);
    if (rename(part, name)) fail(name);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    void *library = dlopen("libcrypto.so.3", RTLD_NOW);
    if (!library) library = dlopen("libcrypto.so", RTLD_NOW);
    Sha256 sha256 = library ? (Sha256)dlsym(library, "SHA256") : NULL;
    if (!sha256) return 3;
    fill_values();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address)) fail("connect");
    unsigned char *buffer = malloc(BUFFER_BYTES), *image = malloc(BUFFER_BYTES), digest[32], sum = 0;
    for (int number = 0; number < atoi(argv[2]); number++) {
        if (send(connection, REQUEST, sizeof REQUEST - 1, 0) < 0) fail("send");
        size_t length;
        unsigned char *body = receive(connection, buffer, &length);
        unsigned char *text = memmem(body, length, NAME, sizeof NAME - 1);
        if (!text) fail("image");
        text += sizeof NAME - 1;
        unsigned char *end = memchr(text, '"', length - (size_t)(text - body));
        if (!end) fail("image");
        size_t size = decode(text, (size_t)(end - text), image);
        sum ^= *sha256(image, size, digest);
        save(argv[3], number, image, size);
    }
    printf("%d\n", sum);
    return 0;
}
