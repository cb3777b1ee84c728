/* VER: waiting for a version; one counter of NC writes, one who replaces the tensor, NW waiters on the event word, NB on the doorbell.
   run: python3 models/run.py ver; flags [-DNW=2] [-DNB=1] [-DNC=2] [-DNR: nobody replaces it] (waiter i wants a version beyond i, a listener the last one) [-DKILL] [-DMUT=m]     (errors: 0; an invalid end state = a waiter asleep for ever)
   with -DKILL the counter, the replacer or a waiter dies anywhere: a time-out is allowed once nothing else can move, and each waiter needs at most one per kill (assert)
   MUT 1 event read after the look  2 wish after the look  3 a wake without a new event word  4 the replacer rings nobody  5 the replacer rings before the state  6 wish cleared before the ring, whatever it is
   7 bell read after the look  8 listen set after the look  9 listen cleared after the ring  10 the counter looks at wait_at before it counts  11 the wish is a plain store */
#ifndef MUT
#define MUT 0
#endif
#ifndef NW
#define NW 2
#endif
#ifndef NB
#define NB 1
#endif
#ifndef NC
#define NC 2
#endif
byte ver, event, wish, bell; bool dying, listen; bool asleep[NW+1]; bool rung[NB+1]; byte kills, to[NW+NB+1];
#ifdef KILL
#define KX if :: skip :: d_step{ kills==0 -> kills=1 }; goto dead fi
#else
#define KX skip
#endif
inline wake_event(){ d_step{ i=0; do :: i<NW -> asleep[i]=0; i++ :: else -> break od; i=0 } }
inline wake_bell(){ d_step{ i=0; do :: i<NB -> rung[i]=0; i++ :: else -> break od; i=0 } }
inline ring_event(){
#if MUT==3
  wake_event()
#else
  event++; KX; wake_event()
#endif
}
inline ring_bells(){
  if :: listen ->
#if MUT==9
       KX; bell++; KX; wake_bell(); KX; listen=0
#else
       KX; listen=0; KX; bell++; KX; wake_bell()
#endif
     :: else -> skip fi }
proctype Counter(){ byte i, n, w, now;
  do :: n<NC -> n++; KX;
#if MUT==10
     w=wish; KX; atomic{ ver++; now=ver }; KX;
#else
     atomic{ ver++; now=ver }; KX;
     w=wish; KX;
#endif
     if :: w!=0 ->
#if MUT==6
        wish=0; KX; ring_event(); KX;
#else
        ring_event(); KX;
        d_step{ if :: w<=now && wish==w -> wish=0 :: else -> skip fi }; KX;
#endif
        :: else -> skip fi;
     ring_bells()
     :: else -> break od;
dead: skip }
proctype Replacer(){ byte i;
  KX;
#if MUT==5
  if :: wish!=0 -> ring_event() :: else -> skip fi; ring_bells(); KX; dying=1;
#elif MUT==4
  dying=1;
#else
  dying=1; KX;
  if :: wish!=0 -> ring_event() :: else -> skip fi; KX;
  ring_bells();
#endif
dead: skip }
#define OVER (ver>want || dying)
inline make_wish(){ o=wish;
#if MUT==11
  if :: o<want+1 -> wish=want+1 :: else -> skip fi
#else
  do :: o>=want+1 -> break
     :: else -> d_step{ if :: wish==o -> wish=want+1; o=want+1 :: else -> o=wish fi } od
#endif
}
proctype Waiter(byte me){ byte e, o, want=me;
  do :: OVER -> break
     :: else ->
#if MUT==2
        e=event; if :: OVER -> break :: else -> skip fi; KX; make_wish();
#elif MUT==1
        make_wish(); KX; if :: OVER -> break :: else -> skip fi; e=event;
#else
        make_wish(); KX; e=event; if :: OVER -> break :: else -> skip fi;
#endif
        KX; d_step{ if :: event==e -> asleep[me]=1 :: else -> skip fi };
        if :: !asleep[me] -> skip
           :: asleep[me] && kills>0 && timeout -> asleep[me]=0; to[me]++; assert(to[me]<=kills) fi
  od;
dead: skip }
proctype Listener(byte me){ byte h, want=NC-1;
  do :: true ->
#if MUT==8
     h=bell; if :: OVER -> break :: else -> skip fi; KX; listen=1;
#elif MUT==7
     listen=1; KX; if :: OVER -> break :: else -> skip fi; h=bell;
#else
     h=bell; KX; listen=1; KX; if :: OVER -> break :: else -> skip fi;
#endif
     KX; d_step{ if :: bell==h -> rung[me]=1 :: else -> skip fi };
     if :: !rung[me] -> skip
        :: rung[me] && kills>0 && timeout -> rung[me]=0; to[NW+me]++; assert(to[NW+me]<=kills) fi
  od;
dead: skip }
init { byte k; atomic{ run Counter();
#ifndef NR
  run Replacer();
#endif
 
  k=0; do :: k<NW -> run Waiter(k); k++ :: else -> break od;
  k=0; do :: k<NB -> run Listener(k); k++ :: else -> break od } }
