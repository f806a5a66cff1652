/* N clients ask one server K times each. The server keeps who asked, in order, so every order of service is a state
   of its own: the question has as many answers as there are orders, (NK)! / (K!)^N.
   Asked of the search: in every order, each request is counted exactly once.
   search_programs.py has the same program as actors. */
#ifndef N
#define N 4
#endif
#ifndef K
#define K 3
#endif

byte order[N * K];
chan request = [0] of { byte };
chan answer[N] = [0] of { byte };

proctype client(byte me)
{
    byte asked, got;

    do
    :: asked < K ->
        request ! me;
        answer[me] ? got;
        assert(got > asked);
        asked++
    :: else -> break
    od
}

active proctype server()
{
    byte who, count;

end:
    do
    :: request ? who ->
        d_step { order[count] = who + 1; count++; assert(order[count - 1] == who + 1) };
        answer[who] ! count
    od
}

init {
    byte i;
    atomic { do :: i < N -> run client(i); i++ :: else -> break od }
}
